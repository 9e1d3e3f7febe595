"""One peer's watermark, timed by itself: ``python mark_peer.py textseal|markllm TOKENS VOCABULARY``; JSON on stdout.

Runs in the peers' own environment. ``detect`` is tokens scored a second of CPU, ``step`` the milliseconds of CPU that
one token of generation costs beyond the model, at batch 1.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any


def without_its_evaluation(name: str) -> None:
    """Let a package's parts be imported without its ``__init__``, which wants packages for other work."""
    spec = find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{name} is not installed")
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = package


def textseal(tokens: list[int], vocabulary: int) -> dict[str, Any]:
    import torch

    without_its_evaluation("textseal")
    from textseal.common.watermark.core import WatermarkConfig, score_all_next_tokens, score_tokens

    said: dict[str, Any] = {}
    for method, name in (("binary", "green list"), ("uniform", "Gumbel")):
        config = WatermarkConfig(secret_key=42, ngram=1, method=method, gamma=0.25, scoring_method="v2")
        began = time.process_time()
        score_tokens(tokens, config)
        seconds = time.process_time() - began
        window = torch.tensor([[7]])
        began = time.process_time()
        for _ in range(20):
            score_all_next_tokens(window, config, vocabulary)
        said[f"textseal {name}"] = {"detect": len(tokens) / seconds, "step": (time.process_time() - began) * 50}
    return said


def markllm(tokens: list[int], vocabulary: int) -> dict[str, Any]:
    import torch
    from markllm.watermark.kgw.kgw import KGWConfig, KGWLogitsProcessor, KGWUtils

    model = SimpleNamespace(model=None, tokenizer=None, vocab_size=vocabulary, device="cpu", gen_kwargs={})
    config = KGWConfig(None, model)
    config.prefix_length, config.gamma, config.delta = 1, 0.25, 2.0
    utils = KGWUtils(config)
    few = torch.tensor(tokens[:2000])
    began = time.process_time()
    utils.score_sequence(few)
    seconds = time.process_time() - began
    processor, scores = KGWLogitsProcessor(config, utils), torch.zeros((1, vocabulary))
    began = time.process_time()
    for _ in range(20):
        processor(few[None, :8], scores)
    return {"markllm KGW": {"detect": len(few) / seconds, "step": (time.process_time() - began) * 50}}


def main() -> None:
    import random

    import torch

    torch.set_num_threads(1)
    which, count, vocabulary = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(0)
    tokens = [min(int(rng.paretovariate(0.6)), vocabulary - 1) for _ in range(count)]
    try:
        said = {"textseal": textseal, "markllm": markllm}[which](tokens, vocabulary)
    except (ImportError, AttributeError, OSError) as error:
        said = {which: {"problem": f"{type(error).__name__}: {error}"}}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
