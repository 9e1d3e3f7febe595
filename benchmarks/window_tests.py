"""Our window test beside published ones, at an equal measured false positive rate of 1%, on real prompts.

A window is one tenant's questions. Benign windows come from tenants of six kinds, narrow ones among them (banking,
evaluation, agents): each has a slice of its kind's pool. Windows with a harvest take a share of their questions from a
harvest pool and the others from a benign tenant, several pairs. Half of every benign pool is history: references,
peers and thresholds of the papers' own come from it, windows from the other half. All tests read the same static
embedding (the papers' own encoders would have to be downloaded).

Each test's threshold is set so that 1% of all benign windows are flagged. ``mmd, own null`` is the paper's: a threshold
from windows of mixed benign traffic; its false positives by kind are what it comes to. ``null by kind``: compared with
the nearest kind of tenant and its own windows, our repair of it. ``spiritsafe`` is the product, all by its own code:
each window an account, a reference of benign windows, its detectors' ranks in it added by family; under it each
detector of prompts alone, by its own statistic. When and how the windows were drawn is the same for all.

Prompts: ``--prompts`` (not part of the repository), one NAME.jsonl.gz a pool.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from parts import window_peers
from spiritsafe.detect.calibrate import reference_of_frame
from spiritsafe.detect.features import from_frame
from spiritsafe.detect.online import Watch
from spiritsafe.detect.types import UNKNOWN
from spiritsafe.record.sketch import sketch_texts
from spiritsafe.stats.result import Evidence

KINDS = {
    "persons": ("nq_open", "query_wellformedness", "hh_rlhf_human_turns"),
    "community": ("prompts_chat",),
    "assistant": ("clinc150",),
    "banking": ("banking77",),
    "evaluation": ("bbh_eval",),
    "agents": ("bfcl_live",),
}
HARVESTS = (
    "gsm8k_train",
    "math_train_deepscaler",
    "gpteacher_codegen",
    "gpteacher_toolformer",
    "alpacacot_elicit",
)
BESIDE = ("persons", "assistant", "banking")
FRACTIONS = (0.05, 0.10, 0.25, 0.50, 1.00)
LEVEL = 0.01
HISTORY = 600


def loudness(evidence: Sequence[Evidence], family: str) -> float:
    """How loud the detectors of a family are together, as ``detect.joint`` adds them."""
    return float(sum(item.result.p_value**-0.5 - 1.0 for item in evidence if item.family == family))


COMBINED: dict[str, Callable[[Sequence[Evidence]], float]] = {
    "spiritsafe: asked": lambda evidence: loudness(evidence, "asked"),
    "spiritsafe: phrased": lambda evidence: loudness(evidence, "phrased"),
    "spiritsafe: either": lambda evidence: max(loudness(evidence, "asked"), loudness(evidence, "phrased")),
}


@dataclass(frozen=True)
class Windows:
    """Windows as rows of one table of texts: ``at`` [windows, size]; ``label`` names each."""

    at: np.ndarray
    label: list[tuple[str, ...]]


class Pools:
    """All texts once, embedded; halves of the benign pools."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.texts: list[str] = []
        self.rows: dict[str, np.ndarray] = {}
        for name in [*dict.fromkeys(n for names in KINDS.values() for n in names), *HARVESTS]:
            with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
                texts = [json.loads(line)["prompt"][:2000] for line in lines]
            self.rows[name] = np.arange(len(self.texts), len(self.texts) + len(texts))
            self.texts += texts
        held = sketch_texts(self.texts, parts=frozenset({"embedding"})).embedding
        assert held is not None
        self.points = held.astype(np.float32)
        past = rng.random(len(self.texts)) < 0.5
        benign = {kind: np.concatenate([self.rows[name] for name in names]) for kind, names in KINDS.items()}
        self.past = {kind: rows[past[rows]] for kind, rows in benign.items()}
        self.present = {kind: rows[~past[rows]] for kind, rows in benign.items()}


def tenant(rows: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """What one tenant asks, ``size`` questions of a slice of a pool."""
    width = min(len(rows), max(size, len(rows) // 8))
    start = rng.integers(0, len(rows))
    slice_ = rows[np.arange(start, start + width) % len(rows)]
    return rng.choice(slice_, size, replace=size > width)


def benign(pool: dict[str, np.ndarray], each: int, size: int, rng: np.random.Generator) -> Windows:
    """So many windows of every kind."""
    made = [(kind, tenant(rows, size, rng)) for kind, rows in pool.items() for _ in range(each)]
    return Windows(np.array([rows for _, rows in made]), [(kind,) for kind, _ in made])


def harvesting(pools: Pools, each: int, size: int, rng: np.random.Generator) -> Windows:
    """So many windows of every pair and fraction."""
    rows, labels = [], []
    for harvest in HARVESTS:
        for beside in BESIDE:
            for fraction in FRACTIONS:
                for _ in range(each):
                    n = max(1, round(fraction * size))
                    taken = rng.choice(pools.rows[harvest], n, replace=False)
                    others = tenant(pools.present[beside], size, rng)[n:]
                    rows.append(rng.permutation(np.concatenate([taken, others])))
                    labels.append((harvest, beside, f"{fraction:.0%}"))
    return Windows(np.array(rows), labels)


def product(pools: Pools, known: Windows, windows: Sequence[Windows]) -> dict[str, list[np.ndarray]]:
    """What the product makes of every window: by family, and by detector."""
    reference = reference_of_frame(_log(pools, known, "past"), made=datetime.now(UTC), source="history")
    found: dict[str, list[np.ndarray]] = {}
    for held in windows:
        watch = Watch(reference, ring_detectors=())
        watch.learn_batch(from_frame(_log(pools, held, "now"), watch.parts))
        evaluation = watch.evaluate(notable=float("-inf"))
        by_name = {f.subject: f.evidence for f in evaluation.findings if f.subject_kind == "account"}
        each = [by_name.get(f"now-{number}", ()) for number in range(len(held.at))]
        for name, take in COMBINED.items():
            found.setdefault(name, []).append(np.array([take(e) if e else -1.0 for e in each]))
        for detector in watch.detectors:
            if detector.sees == "prompts":
                told = [{item.result.name: item.result.statistic for item in e} for e in each]
                worth = np.array([by.get(detector.name, UNKNOWN) for by in told])
                found.setdefault(f"  {detector.name} alone", []).append(worth)
    return found


def _log(pools: Pools, windows: Windows, name: str) -> pl.DataFrame:
    many, size = windows.at.shape
    start = datetime(2026, 3, 2)  # noqa: DTZ001 - a Parquet log's times are UTC without saying so
    frame = pl.DataFrame(
        {
            "account_id": [f"{name}-{number}" for number in range(many) for _ in range(size)],
            "time": [
                start + timedelta(seconds=600 * place + number) for number in range(many) for place in range(size)
            ],
            "prompt": [pools.texts[row] for row in windows.at.ravel()],
        }
    )
    return frame.sort("time")


def kind_of(pools: Pools, rows: np.ndarray, size: int, rng: np.random.Generator) -> window_peers.Kind:
    """A kind of tenant as the past showed it."""
    windows = [pools.points[tenant(rows, size, rng)] for _ in range(80)]
    return window_peers.Kind(pools.points[rng.permutation(rows)[:3000]], windows)


def scores(
    pools: Pools, size: int, each: int, rng: np.random.Generator
) -> tuple[dict[str, list[np.ndarray]], Windows, Windows]:
    """Every test's statistic of the benign and of the harvesting windows."""
    quiet, loud = benign(pools.present, 3 * each, size, rng), harvesting(pools, each, size, rng)
    mixed = np.concatenate([rng.choice(rows, HISTORY // len(KINDS), replace=False) for rows in pools.past.values()])
    history = pools.points[mixed]
    kinds = [kind_of(pools, rows, size, rng) for rows in pools.past.values()]
    everything = np.concatenate([kind.history[:900] for kind in kinds])
    repaired = window_peers.by_kind(kinds, lambda kind: window_peers.mmd(kind.history[:300]))
    tests = {
        "mmd (2606.05725)": window_peers.mmd(history),
        "mmd, null by kind": repaired,
        "prada": window_peers.prada(history),
        "seat": window_peers.seat(history),
        "mahalanobis": window_peers.mahalanobis(everything),
    }
    found = product(pools, benign(pools.past, 10 * each, size, rng), (quiet, loud))
    for name, test in tests.items():
        found[name] = [np.array([test(pools.points[rows]) for rows in w.at]) for w in (quiet, loud)]
    null = benign({"mixed": np.concatenate(list(pools.past.values()))}, 200, size, rng)
    mmd = np.array([tests["mmd (2606.05725)"](pools.points[rows]) for rows in null.at])
    low = float(np.quantile(mmd, 1 - LEVEL))
    found["mmd, own null"] = [(values > low).astype(float) for values in found["mmd (2606.05725)"]]
    return found, quiet, loud


def table(found: dict[str, list[np.ndarray]], quiet: Windows, loud: Windows) -> None:
    """One row a test: the rate by fraction, the worst pair at 10%, false positives by narrow kind."""
    narrow = ("banking", "evaluation", "agents")
    head = f"{'test':<26}{'FPR':>7}" + "".join(f"{f'{f:.0%}':>7}" for f in FRACTIONS) + f"{'worst':>7}"
    print(head + "".join(f"{kind:>12}" for kind in narrow))
    for name, (calm, wild) in found.items():
        flags = calm > 0.5 if name == "mmd, own null" else calm > np.quantile(calm, 1 - LEVEL)
        caught = wild > 0.5 if name == "mmd, own null" else wild > np.quantile(calm, 1 - LEVEL)
        rates = [np.mean([c for c, x in zip(caught, loud.label, strict=True) if x[2] == f"{f:.0%}"]) for f in FRACTIONS]
        pairs = {x[:2] for x in loud.label}
        at_ten = [
            np.mean([c for c, x in zip(caught, loud.label, strict=True) if x == (*pair, "10%")]) for pair in pairs
        ]
        false = [np.mean([c for c, x in zip(flags, quiet.label, strict=True) if x[0] == kind]) for kind in narrow]
        print(
            f"{name:<26}{flags.mean():>7.1%}"
            + "".join(f"{rate:>7.2f}" for rate in (*rates, min(at_ten)))
            + "".join(f"{rate:>12.1%}" for rate in false)
        )


def main() -> None:
    """Print a table a window size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[2] / "shared" / "traffic" / "prompts"
    parser.add_argument("--prompts", type=Path, default=default)
    parser.add_argument("--each", type=int, default=30, help="windows of every pair and fraction")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 500])
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if not args.prompts.is_dir():
        print(f"not run: there are no prompts in {args.prompts}")
        sys.exit(0)
    rng = np.random.default_rng(args.seed)
    began = time.process_time()
    pools = Pools(args.prompts, rng)
    for size in args.sizes:
        found, quiet, loud = scores(pools, size, args.each, rng)
        print(f"\nwindows of {size}: {len(quiet.at)} benign, {len(loud.at)} harvesting; true positives by fraction")
        table(found, quiet, loud)
    print(f"\n{time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main()
