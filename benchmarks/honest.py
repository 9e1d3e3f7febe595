"""Are the e-values honest? Benign accounts watched for 60 days, and false discoveries where everything depends.

1. ``--accounts`` honest tenants, whose prompts a grammar writes, go day by day through the product's own watch, against
   a reference made of as honest accounts drawn from the same crowd. After every day it is asked which accounts have
   evidence of at least 1/alpha: by each detector, by the mean of the families (what e-BH is given), and by two
   families (what policy asks for). An account that ever crosses counts. The interval is exact.
2. Many references: scores of accounts and detectors with any dependence, the product's ranks, wealth, averages.
   One reference may be low; what is promised is the mean over references.
3. e-BH at q over accounts of which some harvest, all ranked by one reference, in companies whose accounts are copies
   of one another: the mean share of false ones among the discoveries.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from datetime import UTC, datetime

import msgspec
import numpy as np

from spiritsafe.detect.calibrate import reference_of_exchanges
from spiritsafe.detect.middles import is_known
from spiritsafe.detect.online import Watch
from spiritsafe.detect.wealth import log10_wealth
from spiritsafe.drill.crowd import HOURS, START, crowd
from spiritsafe.policy.weigh import by_family, from_families
from spiritsafe.record.exchange import Exchange
from spiritsafe.stats.conformal import Reference
from spiritsafe.stats.evalues import average
from spiritsafe.stats.intervals import clopper_pearson
from spiritsafe.stats.multiple import e_bh
from spiritsafe.stats.result import Result

ALPHAS = (0.01, 0.001)
SHARES = {"person": 64, "coder": 9, "student": 6, "support": 8, "translator": 3, "evaluation": 3, "agent": 7}
DAY = 86_400.0


@dataclasses.dataclass
class Line:
    """How many of ``n`` ever crossed 1/alpha."""

    what: str
    alpha: float
    crossed: int
    n: int

    def show(self) -> str:
        low, high = clopper_pearson(self.crossed, self.n)
        held = "held" if low <= self.alpha else "BROKEN"
        return (
            f"{self.what:<34}{self.alpha:>8}{self.crossed:>9} of {self.n:<8}{self.crossed / self.n:>10.5f}"
            f"  [{low:.5f}, {high:.5f}]  {held}"
        )


def people(seed: int, accounts: int, days: float) -> list[list[Exchange]]:
    """Honest accounts, each with its exchanges over so many days, in companies that stay together."""
    stretch = days * DAY / (HOURS * 3600.0)
    held: dict[str, list[Exchange]] = {}
    for exchange in crowd(seed, SHARES, accounts):
        moved = msgspec.structs.replace(exchange, time=START + (exchange.time - START) * stretch)
        held.setdefault(exchange.account_id, []).append(moved)
    return list(held.values())


@dataclasses.dataclass
class Won:
    """What ``n`` accounts won on average by one detector, and the share of random divisions in which they win as much.

    ``error`` is the standard deviation of that average over the divisions.
    """

    what: str
    n: int
    mean: float
    error: float
    share: float

    def show(self) -> str:
        return f"{self.what:<34}{self.n:>8}{self.mean:>9.3f}{self.error:>9.3f}{self.share:>8.3f}"


def watched(accounts: int, others: int, days: int, seed: int, divisions: int) -> tuple[list[Line], list[Won]]:
    """Watch ``accounts`` honest accounts for so many days, against a reference of ``others`` of the same crowd."""
    everyone = people(seed, accounts + others, float(days))
    drawn = np.random.default_rng(seed).random(len(everyone) // 3 + 1) < others / len(everyone)  # a company in a piece
    apart = [drawn[place // 3] for place in range(len(everyone))]
    known = sorted((e for mine, there in zip(everyone, apart, strict=True) if there for e in mine), key=_when)
    watch = Watch(reference_of_exchanges(known, made=datetime.now(UTC), source="crowd"), ring_detectors=())
    fresh = sorted((e for mine, there in zip(everyone, apart, strict=True) if not there for e in mine), key=_when)
    tested = {e.account_id for e in fresh}
    crossed: dict[tuple[str, float], set[str]] = {}
    at = 0
    for day in range(1, days + 1):
        stop = at
        while stop < len(fresh) and (fresh[stop].time - START).total_seconds() < day * DAY:
            stop += 1
        watch.learn(fresh[at:stop])
        at = stop
        for finding in watch.evaluate(notable=-np.log10(max(ALPHAS)) - 0.5).findings:
            weights = by_family(finding.evidence)
            worth = {item.result.name: item.result.log10_e for item in finding.evidence}
            worth["mean of families"] = from_families(weights, 1)
            worth["two families"] = from_families(weights, 2)
            for what, log10_e in worth.items():
                for alpha in ALPHAS:
                    if log10_e >= -np.log10(alpha):
                        crossed.setdefault((what, alpha), set()).add(finding.subject)
    names = [detector.name for detector in watch.detectors] + ["mean of families", "two families"]
    lines = [Line(name, alpha, len(crossed.get((name, alpha), ())), len(tested)) for name in names for alpha in ALPHAS]
    return lines, won(watch, divisions, np.random.default_rng(seed))


def won(watch: Watch, divisions: int, rng: np.random.Generator) -> list[Won]:
    """What the accounts have won so far, by each detector and jointly (whose reference scores are not kept)."""
    assert watch.reference is not None
    told: dict[str, list[Result]] = {}
    for finding in watch.evaluate(notable=float("-inf")).findings:
        for item in finding.evidence:
            told.setdefault(item.result.name, []).append(item.result)
    found = []
    for name, results in told.items():
        mean, each = float(np.mean([10.0**result.log10_e for result in results])), []
        if name in watch.reference.detectors:
            held = watch.reference.detectors[name].statistic()
            held = held[is_known(held)]
            every = np.concatenate([held, [result.statistic for result in results]])
            for _ in range(divisions):
                mixed = rng.permutation(every)
                p = Reference.of(mixed[: len(held)]).p(mixed[len(held) :])
                each.append(float(np.mean(10.0 ** log10_wealth(p, len(held)))))
        error = float(np.std(each)) if each else float("nan")
        as_much = (1 + sum(one >= mean for one in each)) / (divisions + 1) if each else float("nan")
        found.append(Won(name, len(results), mean, error, as_much))
    return found


def _when(exchange: Exchange) -> tuple[datetime, str]:
    return exchange.time, exchange.exchange_id


def simulated(rng: np.random.Generator, n: int, days: int, detectors: int, company: int) -> np.ndarray:
    """Scores [n, detectors]: each account's highest over the days, heavy in the tail, detectors and companies alike."""
    own = rng.standard_t(4, (n // company + 1, detectors)).repeat(company, axis=0)[:n]
    common = rng.standard_t(4, (n // company + 1, 1)).repeat(company, axis=0)[:n]
    daily = rng.standard_normal((n, detectors, min(days, 60))).max(axis=2)
    return np.asarray(own + common + 0.5 * daily)


def wealth(scores: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The product's evidence: rank, wealth, mean over detectors."""
    each = [
        log10_wealth(Reference.of(known[:, column]).p(scores[:, column]), len(known))
        for column in range(known.shape[1])
    ]
    return np.array([average(row) for row in np.stack(each, axis=1)])


def over_references(references: int, accounts: int, n: int, rng: np.random.Generator) -> list[str]:
    """The share that crosses, over many references."""
    shares = {alpha: [] for alpha in ALPHAS}
    for _ in range(references):
        found = wealth(simulated(rng, accounts, 60, 3, 3), simulated(rng, n, 60, 3, 3))
        for alpha in ALPHAS:
            shares[alpha].append(float((found >= -np.log10(alpha)).mean()))
    lines = []
    for alpha, each in shares.items():
        mean, half = float(np.mean(each)), 1.96 * float(np.std(each, ddof=1)) / len(each) ** 0.5
        lines.append(
            f"alpha {alpha}: mean {mean:.5f} [{max(mean - half, 0):.5f}, {mean + half:.5f}],"
            f" the worst of {references} references {max(each):.5f}"
        )
    return lines


def discoveries(rounds: int, rng: np.random.Generator, q: float = 0.01) -> str:
    """False discoveries of e-BH among accounts of which a fifth harvest."""
    false, power = [], []
    for _ in range(rounds):
        known = simulated(rng, 20_000, 5, 2, 3)
        scores = simulated(rng, 1_000, 5, 2, 5)
        scores[:200] += rng.uniform(5.0, 60.0, (200, 1))
        rejected = e_bh(wealth(scores, known), q).rejected
        false.append(rejected[200:].sum() / max(rejected.sum(), 1))
        power.append(rejected[:200].mean())
    mean, half = float(np.mean(false)), 1.96 * float(np.std(false, ddof=1)) / rounds**0.5
    return (
        f"q {q}: false discovery rate {mean:.5f} [{max(mean - half, 0):.5f}, {mean + half:.5f}] over {rounds} rounds,"
        f" of the harvesting accounts found {np.mean(power):.1%}"
    )


def main() -> None:
    """Print all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--others", type=int, default=6_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--references", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--divisions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    began = time.process_time()
    print(f"{'evidence by':<34}{'alpha':>8}   ever crossed 1/alpha     share   95% interval")
    lines, averages = watched(args.accounts, args.others, args.days, args.seed, args.divisions)
    for line in lines:
        print(line.show())
    print(f"\n{'won on the last day, by':<34}{'accounts':>8}{'mean e':>9}{'error':>9}   share of divisions as high")
    for line in averages:
        print(line.show())
    rng = np.random.default_rng(args.seed)
    print("\nover references of 4,000, accounts of which two in three copy another, 10,000 at a time")
    for text in over_references(args.references, 10_000, 4_000, rng):
        print(text)
    print("\ne-BH with one reference for all, copies in fives\n" + discoveries(args.rounds, rng))
    print(f"\n{time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main()
