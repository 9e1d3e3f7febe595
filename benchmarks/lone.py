"""What becomes of an account that harvests alone, beside honest accounts of every kind.

    python benchmarks/lone.py --traffic ../shared/traffic [--reference-accounts 4000] [--accounts 2000] [--each 20]

builds two honest logs with traffic.py, without rings and with translators. The first becomes the reference; into the
second come harvesters, each alone: nothing shared, no plan with others. ``HABITS`` says how honest kinds draw their
answers (the simulator does not), ``WAYS`` how harvesters do. Everything is watched against the reference and decided
by the shipped policy, one way of harvesting at a time. For each way and for each honest kind it prints the share with
each decision or a stricter one, the last with its 95% Wilson interval, and the evidence (log10 e) of the account in
the middle, from two families and by family.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl

from parts.simulated import simulated
from spiritsafe.detect.calibrate import reference_of_frame
from spiritsafe.detect.features import from_frame
from spiritsafe.detect.online import Watch
from spiritsafe.detect.types import Finding
from spiritsafe.policy.decide import decide
from spiritsafe.policy.rules import default
from spiritsafe.policy.weigh import by_family, from_families
from spiritsafe.stats.intervals import wilson

DAYS = 14
TRANSLATION = [0.03, 50.0, 0.9, ["query_wellformedness", "nq_open", "hh_rlhf_human_turns"], 1]
POOLS = ("math_train_deepscaler", "gpteacher_codegen", "gsm8k_train", "alpacacot_elicit")
STEPS = ("observe", "notify", "verify", "throttle", "withhold", "suspend")


@dataclass(frozen=True)
class Habit:
    """The shares of accounts of a kind that draw several answers, ask for log-probabilities, or set a maximum."""

    several: float = 0.0
    logprobs: float = 0.0
    maximum: float = 0.3


HABITS = {
    "evaluation": Habit(several=0.25, logprobs=0.4, maximum=0.7),
    "agent": Habit(several=0.05, logprobs=0.1, maximum=0.5),
    "support_bot": Habit(several=0.02, logprobs=0.1, maximum=0.6),
    "coder": Habit(several=0.05, logprobs=0.02, maximum=0.3),
    "translation": Habit(several=0.05, logprobs=0.05, maximum=0.5),
    "reseller": Habit(several=0.2, logprobs=0.2, maximum=0.5),
    "math_student": Habit(several=0.02, logprobs=0.01),
    "person": Habit(several=0.01, logprobs=0.01, maximum=0.1),
}


@dataclass(frozen=True)
class Way:
    """How a harvester draws: ``n`` answers a call, each prompt ``again`` times, at hours of its own or evenly round the
    clock (``clock``), after a week as an ordinary person (``turn``), and nothing else besides or a fifth small talk.
    """

    n: int = 1
    again: int = 1
    logprobs: bool = False
    maximum: int = 0
    clock: bool = False
    turn: bool = False


WAYS = {
    "each question once": Way(),
    "n=4": Way(n=4),
    "each prompt 4 times": Way(again=4),
    "logprobs": Way(logprobs=True),
    "maximum length": Way(maximum=16384),
    "round the clock": Way(clock=True),
    "after an honest week": Way(turn=True),
    "n=4, logprobs, clock": Way(n=4, logprobs=True, clock=True),
}


def main() -> None:
    """Build, calibrate, watch, decide, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traffic", type=Path, default=Path("../shared/traffic"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--reference-accounts", type=int, default=4000)
    parser.add_argument("--accounts", type=int, default=2000)
    parser.add_argument("--each", type=int, default=20, help="harvesters of one way and amount")
    parser.add_argument("--amounts", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--seed", type=int, default=31)
    given = parser.parse_args()
    simulator = module(given.traffic / "traffic.py")
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        known, _ = honest(given, work / "reference", given.seed, given.reference_accounts)
        reference = reference_of_frame(known, made=datetime.now(UTC), source="an honest log")
        print(reference.because(), flush=True)
        frame, truth = honest(given, work / "watched", given.seed + 1, given.accounts)
        harvest, ways = harvesters(given, simulator)
        watch = Watch(reference, ring_detectors=())
        for part in pl.concat([frame, harvest]).sort("time").iter_slices(200_000):
            watch.learn_batch(from_frame(part, watch.parts))
    found = {f.subject: f for f in watch.evaluate(notable=float("-inf")).findings}
    print(f"{len(watch.tenants):,} accounts, {frame.height + harvest.height:,} exchanges")
    print(table(found, truth, ways))


def module(path: Path) -> ModuleType:
    """The simulator itself, for its hours and its rewording."""
    spec = importlib.util.spec_from_file_location("traffic", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def honest(given: argparse.Namespace, folder: Path, seed: int, accounts: int) -> tuple[pl.DataFrame, dict[str, str]]:
    """A log without rings, and each account's kind; built once."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "traffic.parquet").exists():
        kinds = module(given.traffic / "traffic.py").BENIGN
        kinds = {name: kind for name, kind in kinds.items() if name != "licensed"} | {"translation": TRANSLATION}
        (folder / "kinds.json").write_text(json.dumps(kinds))
    simulated(given.traffic, folder, seed=seed, accounts=accounts, rings=(), benign=folder / "kinds.json")
    truth = json.loads((folder / "labels.json").read_text())["accounts"]
    return drawn(pl.read_parquet(folder / "traffic.parquet"), truth, seed), truth


def drawn(frame: pl.DataFrame, truth: dict[str, str], seed: int) -> pl.DataFrame:
    """The log with columns that say how its answers were drawn, as ``HABITS`` has it."""
    rng = np.random.default_rng([seed, 5])
    rows = []
    for name, kind in truth.items():
        habit = HABITS[kind]
        several = int(rng.choice([2, 4, 8])) if rng.random() < habit.several else 1
        maximum = int(rng.choice([256, 512, 1024, 2048, 4096, 8192])) if rng.random() < habit.maximum else None
        part = float(rng.choice([0.2, 1.0]))
        rows.append((name, several, 5.0 if rng.random() < habit.logprobs else 0.0, maximum, part))
    names = ["account_id", "n", "logprobs", "max_tokens", "part"]
    habits = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    joined = frame.drop("logprobs").join(habits, on="account_id", how="left", maintain_order="left")
    mine = pl.Series(rng.random(frame.height)) < joined.get_column("part")
    return joined.with_columns(
        n=pl.when(mine).then("n").otherwise(1).cast(pl.Float32),
        logprobs=pl.when(mine).then("logprobs").otherwise(0.0).cast(pl.Float32),
        max_tokens=pl.col("max_tokens").cast(pl.Float32),
    ).drop("part")


def harvesters(given: argparse.Namespace, simulator: ModuleType) -> tuple[pl.DataFrame, dict[str, str]]:
    """The harvesters' exchanges, and each one's way with its amount."""
    rng = np.random.default_rng([given.seed, 9])
    folders = [given.traffic / "prompts"]
    pools = {name: simulator.pool(name, folders) for name in POOLS}
    talk = np.concatenate([simulator.pool(name, folders) for name in simulator.BENIGN["person"][3]])
    profiles = simulator.day_profile(rng)
    frames, ways = [], {}
    for title, way in WAYS.items():
        for amount in given.amounts:
            for number in range(given.each):
                name = f"lone-{len(ways):05d}"
                ways[name] = f"{title}, {amount:,}"
                corpus = pools[POOLS[number % len(POOLS)]]
                frames.append(_one(rng, simulator, way, amount, name, corpus, talk, profiles))
    return pl.concat(frames), ways


def _one(
    rng: np.random.Generator,
    simulator: ModuleType,
    way: Way,
    amount: int,
    name: str,
    corpus: np.ndarray,
    talk: np.ndarray,
    profiles: np.ndarray,
) -> pl.DataFrame:
    """``amount`` questions harvested, and small talk besides: a fifth as much, or that of a person before the turn."""
    order = np.concatenate([rng.permutation(len(corpus)) for _ in range(-(-amount // len(corpus)))])[:amount]
    prompts = simulator.vary(rng, corpus[order])
    prompts = np.repeat(prompts[: max(1, amount // way.again)], way.again)[:amount]
    small = 6 * DAYS // 2 if way.turn else amount // 5
    days = DAYS // 2 if way.turn else DAYS
    owner = np.full(len(prompts) + small, int(rng.integers(len(profiles))))
    at = simulator.times(rng, owner, profiles, days, np.full(len(profiles), int(rng.integers(24))))
    if way.clock:
        at = rng.random(len(at)) * days * simulator.DAY
    asked = np.concatenate([prompts, simulator.vary(rng, talk[rng.integers(0, len(talk), small)])])
    if way.turn:
        at[: len(prompts)] += days * simulator.DAY
    long = rng.lognormal(5.2, 0.8, len(asked)).clip(1, 4000)
    return pl.DataFrame(
        {
            "account_id": [name] * len(asked),
            "time": simulator.START + (at * 1e6).astype("timedelta64[us]"),
            "model": ["teacher-1"] * len(asked),
            "system": [""] * len(asked),
            "prompt": asked.tolist(),
            "prompt_tokens": np.array([len(text) // 5 + 4 for text in asked], dtype=np.int32),
            "completion_tokens": long.astype(np.int32),
            "ip_prefix": [f"net-{name}"] * len(asked),
            "payment": [f"card-{name}"] * len(asked),
            "client": [str(rng.choice(simulator.CLIENTS))] * len(asked),
            "temperature": np.full(len(asked), 1.0, dtype=np.float32),
            "exchange_id": [f"{name}-{nth}" for nth in range(len(asked))],
            "n": np.full(len(asked), float(way.n), dtype=np.float32),
            "logprobs": np.full(len(asked), 5.0 if way.logprobs else 0.0, dtype=np.float32),
            "max_tokens": pl.Series([float(way.maximum) if way.maximum else None] * len(asked), dtype=pl.Float32),
        }
    )


def table(found: dict[str, Finding], truth: dict[str, str], ways: dict[str, str]) -> str:
    """Decisions by way and by kind. Each way is decided about with the honest accounts and no other way."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, way in ways.items():
        groups[way].append(name)
    lines = [
        "| | accounts | flagged | observed | notified | 95% | two families | asked | phrased | when | drawn |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    decided: dict[str, str] = {}
    for way, names in groups.items():
        steps = _decisions([found[name] for name in (*truth, *names) if name in found])
        lines.append(_line(way, names, steps, found))
        decided |= {name: steps[name] for name in truth if name in steps and _worse(steps[name], decided.get(name))}
    kinds = defaultdict(list)
    for name, kind in truth.items():
        kinds[kind].append(name)
    lines += [_line(f"*{kind}*", names, decided, found) for kind, names in sorted(kinds.items())]
    return "\n".join([*lines, _line("*all honest*", list(truth), decided, found)])


def _worse(step: str, than: str | None) -> bool:
    return than is None or STEPS.index(step) > STEPS.index(than)


def _decisions(findings: list[Finding]) -> dict[str, str]:
    made = decide(findings, (), default(), datetime.now(UTC), tested=len(findings))
    steps: dict[str, str] = {}
    for decision in made:
        for name in decision.accounts:
            if _worse(decision.action, steps.get(name)):
                steps[name] = decision.action
    return steps


def _line(title: str, names: list[str], steps: dict[str, str], found: dict[str, Finding]) -> str:
    counts = Counter(STEPS.index(steps[name]) for name in names if name in steps)
    n = len(names)
    at_least = [sum(count for step, count in counts.items() if step >= least) for least in (3, 0, 1)]
    low, high = wilson(at_least[2], n)
    weights = [by_family(found[name].evidence) for name in names if name in found]
    two = np.median([from_families(weight, 2) for weight in weights]) if weights else 0.0
    each = [np.median([w.get(family, 0.0) for w in weights]) for family in ("asked", "phrased", "when", "drawn")]
    shares = " | ".join(f"{count / n:.3f}" for count in at_least)
    middle = " | ".join(f"{value:.1f}" for value in (two, *each))
    return f"| {title} | {n:,} | {shares} | {low:.3f} to {high:.3f} | {middle} |"


if __name__ == "__main__":
    main()
