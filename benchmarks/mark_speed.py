"""Marks: detection with deduplication on one core, and what a mark adds to a step of generation, beside peers.

CPU seconds of this thread, so a busy machine changes little. Ours: every distinct n-gram once, the exact p-value, no
decoys. Peers: ``transformers`` (its detector ignores repeats), ``textseal`` (deduplicates), ``markllm`` (does not).
The last two are put into an environment of their own under .bench/marks at the first run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np

from spiritsafe.protect.keys import key_of
from spiritsafe.protect.marks.detect import detect
from spiritsafe.protect.marks.embed import reweighed
from spiritsafe.protect.marks.registry import mark
from spiritsafe.protect.marks.types import LogitMark

HOME = Path(__file__).resolve().parent.parent / ".bench" / "marks"
PEERS = ("textseal==0.0.5", "markllm==0.1.5")
NAMES = (
    *("kgw-k1-g0.25-d2", "kgw-k2-g0.25-d2", "gumbel-k2", "tournament-m30-k2"),
    *("traced-k1-g0.25-d2-m1024", "choice-n4-k2"),
)
KEY = key_of(bytes(32), "bench", 1)
Figures = dict[str, dict[str, Any]]


def cpu(function: Callable[[], object], rounds: int) -> float:
    """The median over rounds of the CPU seconds of one call."""
    took = []
    for _ in range(rounds):
        began = time.process_time()
        function()
        took.append(time.process_time() - began)
    return median(took)


def ours(tokens: np.ndarray, vocabulary: int) -> Figures:
    logits = np.random.default_rng(0).normal(size=vocabulary).astype(np.float32)
    found: Figures = {}
    for name in NAMES:
        each = mark(name)
        seconds = cpu(lambda each=each: detect(each, KEY, [tokens], subject="bench", decoys=0), 3)  # type: ignore[misc]
        found[name] = {"detect": len(tokens) / seconds, "step": None}
        if isinstance(each, LogitMark):
            found[name]["step"] = 1e3 * cpu(lambda each=each: reweighed(each, KEY, logits, [3, 4]), 20)  # type: ignore[misc]
    return found


def transformers(tokens: np.ndarray, vocabulary: int) -> Figures:
    import torch
    from transformers import (
        SynthIDTextWatermarkLogitsProcessor,
        WatermarkDetector,
        WatermarkingConfig,
        WatermarkLogitsProcessor,
    )

    torch.set_num_threads(1)
    config = WatermarkingConfig(greenlist_ratio=0.25, bias=2.0, context_width=1)
    model: Any = SimpleNamespace(vocab_size=vocabulary, bos_token_id=-1, is_encoder_decoder=False)
    few = torch.tensor(tokens[:2000].astype(np.int64))[None]
    seconds = cpu(lambda: WatermarkDetector(model, "cpu", config)(few, return_dict=True), 1)
    scores, ids = torch.zeros((1, vocabulary)), few[:, :8]
    kgw = WatermarkLogitsProcessor(vocabulary, "cpu", greenlist_ratio=0.25, bias=2.0, context_width=1)
    synth = SynthIDTextWatermarkLogitsProcessor(
        ngram_len=3,
        keys=list(range(1, 31)),
        sampling_table_size=2**16,
        sampling_table_seed=0,
        context_history_size=1024,
        device=torch.device("cpu"),
    )
    return {
        "transformers KGW": {"detect": few.shape[1] / seconds, "step": 1e3 * cpu(lambda: kgw(ids, scores), 20)},
        "transformers SynthID, 30 layers": {"detect": None, "step": 1e3 * cpu(lambda: synth(ids, scores), 5)},
    }


def peers(count: int, vocabulary: int) -> Figures:
    problem = None if HOME.exists() else install()
    if problem is not None:
        return {"textseal, markllm": {"problem": problem}}
    found: Figures = {}
    for peer in ("textseal", "markllm"):
        script = Path(__file__).parent / "parts" / "mark_peer.py"
        command = [str(HOME / "bin" / "python"), str(script), peer, str(count), str(vocabulary)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        lines = done.stdout.strip().splitlines()
        found |= json.loads(lines[-1]) if lines else {peer: {"problem": done.stderr.strip()[-200:]}}
    return found


def install() -> str | None:
    """The peers alone, on top of this environment's torch and transformers; what went wrong, if anything."""
    packages = sysconfig.get_paths()["purelib"]
    for command in (
        [sys.executable, "-m", "venv", str(HOME)],
        [str(HOME / "bin" / "pip"), "install", "-q", "--no-deps", *PEERS],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(HOME, ignore_errors=True)
            return f"they can't be installed: {done.stderr.strip().splitlines()[-1:]}"
    (next(HOME.glob("lib/python*/site-packages")) / "ours.pth").write_text(packages + "\n")
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=400_000)
    parser.add_argument("--vocabulary", type=int, default=49_152)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    tokens = np.minimum(rng.zipf(1.3, given.tokens), given.vocabulary - 1).astype(np.uint32)
    print(f"{given.tokens} tokens, vocabulary {given.vocabulary}, CPU of one thread")
    print(f"{'':<34}{'detect, tokens/s':>18}{'a step, ms':>12}")
    figures = ours(tokens, given.vocabulary)
    figures |= transformers(tokens, given.vocabulary)
    figures |= peers(given.tokens // 8, given.vocabulary)
    for name, each in figures.items():
        if "problem" in each:
            print(f"{name:<34}{each['problem']}")
            continue
        detected = "-" if each["detect"] is None else f"{each['detect']:,.0f}"
        print(f"{name:<34}{detected:>18}{'-' if each['step'] is None else format(each['step'], '.2f'):>12}")


if __name__ == "__main__":
    main()
