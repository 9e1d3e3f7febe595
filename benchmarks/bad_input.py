"""What bad input costs: a log with two rings is disturbed in one way after the other, scanned, and judged.

    python benchmarks/bad_input.py --traffic ../shared/traffic [--accounts 500] [--seed 3] [--only NAME ...]

Prints, for each disturbance, which share of each ring is flagged, its evidence, how many honest accounts are flagged,
and what the scan said was odd. No reference, the shipped policy; ``poisoned`` and ``clean`` compare with references
made from a log of another seed, with and without a tenth of harvesting accounts in it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from parts.simulated import simulated
from spiritsafe.cli.scan import read_grants
from spiritsafe.detect.calibrate import reference_of_frame
from spiritsafe.detect.log import open_log
from spiritsafe.detect.reference import Reference
from spiritsafe.detect.scan import scan
from spiritsafe.policy.decide import accuses, decide
from spiritsafe.policy.rules import default
from spiritsafe.policy.weigh import by_family, from_families

OPTIONAL = ("time", "model", "system", "ip_prefix", "payment", "client", "temperature", "logprobs", "exchange_id")
_TONGUES = (
    "Wie spät ist es|Quelle heure est-il|¿Qué hora es|Che ore sono|Que horas são|Hoe laat is het|Vad är klockan|"
    "Która jest godzina|Saat kaç|Который час|Котра година|Колко е часът|Колико је сати|Koliko je sati|Kolik je hodin|"
    "Koľko je hodín|Hány óra van|Cât e ceasul|Τι ώρα είναι|Paljonko kello on|Mis kell on|Cik ir pulkstenis|"
    "Kiek valandų|Hvað er klukkan|Hva er klokka|Hvad er klokken|Cén t-am é|كم الساعة|מה השעה|ساعت چند است|"
    "کیا وقت ہوا ہے|क्या बजा है|কয়টা বাজে|நேரம் என்ன|సమయం ఎంత|กี่โมงแล้ว|Mấy giờ rồi|Jam berapa|几点了|何時ですか|몇 시예요|"
    "რომელი საათია|Saa ngapi"
)
TONGUES = _TONGUES.split("|")

Disturb = Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]


def untouched(log: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The log as it is."""
    return log


def clocks_minutes_off(log: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Every account's clock is wrong by up to five minutes; one exchange in a hundred lies in 1970, one in 2099."""
    return _skewed(log, rng, 300.0)


def clocks_hours_off(log: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The same, by up to three hours."""
    return _skewed(log, rng, 10_800.0)


def _skewed(log: pl.DataFrame, rng: np.random.Generator, most: float) -> pl.DataFrame:
    names = log.get_column("account_id").unique(maintain_order=True)
    wrong = pl.DataFrame({"account_id": names, "by": rng.uniform(-most, most, len(names))})
    far = rng.random(log.height)
    moved = log.join(wrong, on="account_id", how="left", maintain_order="left")
    time = pl.col("time") + (pl.col("by") * 1e6).cast(pl.Int64).cast(pl.Duration("us"))
    epoch, later = (pl.lit(datetime(year, 1, 1)).cast(pl.Datetime("us")) for year in (1970, 2099))  # noqa: DTZ001
    skewed = pl.when(pl.Series(far < 0.01)).then(epoch).when(pl.Series(far > 0.99)).then(later).otherwise(time)
    return moved.with_columns(time=skewed).drop("by")


def out_of_order_and_twice(log: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Rows in any order, and a fifth of them twice."""
    again = log.sample(fraction=0.2, seed=1)
    return pl.concat([log, again]).sample(fraction=1.0, shuffle=True, seed=2)


def one_exchange(log: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Five thousand accounts more, with one exchange each."""
    once = log.sample(5000, with_replacement=True, seed=1).with_row_index("n")
    fresh = {"account_id": pl.format("once-{}", "n"), "exchange_id": pl.format("once-{}", "n")}
    alone = {"payment": pl.format("once-{}", "n"), "ip_prefix": pl.format("once-{}", "n")}
    return pl.concat([log, once.with_columns(**fresh, **alone).drop("n").select(log.columns)])


def empty_prompts(log: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Every second prompt is empty or missing."""
    draw = rng.random(log.height)
    prompt = pl.when(pl.Series(draw < 0.25)).then(pl.lit("")).when(pl.Series(draw > 0.25 + 0.5)).then("prompt")
    return log.with_columns(prompt=prompt.otherwise(pl.when(pl.Series(draw < 0.5)).then(None).otherwise("prompt")))


def megabyte_prompts(log: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Two hundred exchanges hold a megabyte after their question."""
    rows = rng.choice(log.height, 200, replace=False)
    long = pl.col("prompt") + pl.lit(" lorem ipsum dolor" * 58_000)
    held = pl.Series(np.isin(np.arange(log.height), rows))
    return log.with_columns(prompt=pl.when(held).then(long).otherwise("prompt"))


def forty_languages(log: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Four hundred accounts more, forty exchanges each, in forty-three languages."""
    n = 400 * 40
    pick = rng.integers(0, len(TONGUES), (n, 3))
    owner = np.repeat(np.arange(400), 40)
    times = log.get_column("time").sample(n, with_replacement=True, seed=3)
    made = pl.DataFrame(
        {
            "account_id": [f"tongue-{at}" for at in owner],
            "prompt": [" ".join(TONGUES[at] for at in row) for row in pick],
            "exchange_id": [f"tongue-{at}" for at in range(n)],
            "payment": [f"tongue-{at}" for at in owner],
            "time": times,
        }
    )
    return pl.concat([log, made], how="diagonal").select(log.columns)


def giant(log: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """One honest tenant more that sends three exchanges in five of all: what a support desk is asked, by day."""
    n = int(1.5 * log.height)
    asked = log.filter(pl.col("prompt").str.contains("card|account|transfer")).get_column("prompt")
    hours = rng.integers(0, 14, n) * 24.0 + rng.normal(14.0, 4.0, n) % 24.0
    times = pl.Series(np.datetime64("2026-03-02", "us") + (hours * 3.6e9).astype("timedelta64[us]"))
    made = pl.DataFrame(
        {
            "account_id": ["giant"] * n,
            "prompt": asked.sample(n, with_replacement=True, seed=5),
            "exchange_id": [f"giant-{at}" for at in range(n)],
            "payment": ["giant"] * n,
            "time": times,
        }
    )
    return pl.concat([log, made], how="diagonal").select(log.columns)


def without(name: str) -> Disturb:
    """A column that is null throughout."""
    return lambda log, rng: log.with_columns(pl.lit(None).alias(name))


def nothing_optional(log: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """All of them null."""
    return log.with_columns(pl.lit(None).alias(name) for name in OPTIONAL)


_WAYS: tuple[Disturb, ...] = (
    untouched,
    clocks_minutes_off,
    clocks_hours_off,
    out_of_order_and_twice,
    one_exchange,
    empty_prompts,
    megabyte_prompts,
    forty_languages,
    giant,
    nothing_optional,
)
DISTURBED: dict[str, Disturb] = {
    **{way.__name__: way for way in _WAYS},
    **{f"no_{name}": without(name) for name in OPTIONAL},
}


def judged(path: Path, folder: Path, reference: Reference | None = None) -> str:
    """One line of the table."""
    truth: dict[str, str] = json.loads((folder / "labels.json").read_text())["accounts"]
    grants, rules, began = read_grants(folder / "grants.json"), default(), time.process_time()
    found = scan(open_log([str(path)]), grants=grants, reference=reference)
    findings = found.evaluation.findings
    decided = decide(findings, grants, rules, datetime.now(UTC), tested=found.evaluation.tested)
    flagged = {name for each in decided if accuses(each.action, rules) for name in each.accounts}
    of = Counter(truth.values())
    by = Counter(truth.get(name, "honest") for name in flagged)
    shares = ", ".join(f"{k[5:]} {by[k] / of[k]:.2f}" for k in sorted(of) if k.startswith("ring:"))
    rings = [f for f in findings if f.subject_kind == "ring" and set(f.accused) & flagged]
    worth = max((from_families(by_family(f.evidence), 2) for f in rings), default=float("nan"))
    honest = sum(count for kind, count in by.items() if not kind.startswith("ring:"))
    others = len(found.accounts) - sum(count for kind, count in of.items() if kind.startswith("ring:"))
    return (
        f"{shares} | 10^{worth:.1f} | {honest} of {others}"
        f" | {time.process_time() - began:.0f} | {'; '.join(found.notes)}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traffic", type=Path, default=Path("../shared/traffic"))
    parser.add_argument("--accounts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument(
        "--rings", nargs="*", default=["plain:30:gpteacher_toolformer:1.0:0", "big:48:gsm8k_train:0.8:1"]
    )
    parser.add_argument("--only", nargs="*")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder, other = (
            simulated(given.traffic, Path(work) / f"s{seed}", seed=seed, accounts=given.accounts, rings=given.rings)
            for seed in (given.seed, given.seed + 100)
        )
        log = pl.read_parquet(folder / "traffic.parquet")
        print(
            "| disturbance | rings flagged | evidence, two families | honest flagged | CPU s | said |\n"
            "|---|---|---|---|---|---|"
        )
        for name, disturb in DISTURBED.items():
            if given.only and name not in given.only:
                continue
            path = folder / "disturbed.parquet"
            disturb(log, np.random.default_rng(7)).write_parquet(path)
            print(f"| {name} | {judged(path, folder)} |", flush=True)
        if not given.only or "poisoned" in given.only:
            truth = json.loads((other / "labels.json").read_text())["accounts"]
            known = pl.read_parquet(other / "traffic.parquet")
            ring = [name for name, kind in truth.items() if kind.startswith("ring:")]
            honest = known.filter(~pl.col("account_id").is_in(ring))
            for name, frame in (("clean reference", honest), ("poisoned reference, 10%", known)):
                made = reference_of_frame(frame, made=datetime.now(UTC), source=name)
                print(f"| {name} | {judged(folder / 'traffic.parquet', folder, made)} |", flush=True)


if __name__ == "__main__":
    main()
