"""Is what is said of the members of a ring honest, if the ring is not one? Honest accounts put together without cause.

    python benchmarks/honest_rings.py --traffic ../shared/traffic [--seed 1] [--accounts 4000] [--each 100]

builds a log without rings, puts honest accounts together, at random, by kind, by the hours at which they ask (those
most alike to one of them), or by both, and hands each set to the watch as if a ring detector had found it: by what its
members share, by when they ask, or by what they ask. Accounts under a grant, which harvest, are left out. So is what
the detector itself would have said: the question is whether the other families still tell an honest set from a ring.
Printed is, by family, the share of sets with evidence of at least 20 to 1, which the policy asks of a second family,
with its 95% interval, and the mean e-value (those above 10^4 count as that): at most .05 and at most 1 are promised.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from parts.simulated import simulated
from spiritsafe.cli.scan import read_grants
from spiritsafe.detect.features import from_frame
from spiritsafe.detect.online import Watch
from spiritsafe.detect.ring.customers import customers
from spiritsafe.detect.ring.manner import manner
from spiritsafe.detect.types import Basis, Link, LinkTable, Ring
from spiritsafe.policy.weigh import by_family
from spiritsafe.stats.intervals import wilson

WAYS = ("at random", "by kind", "by hours", "by kind and hours")
BASES: tuple[Basis, ...] = ("shared", "when", "asked")
LEAST, CAP = 1.3, 4.0
WEEK, FEW = 168, 30


class Sets:
    """Finds whatever sets of accounts it is given."""

    name = "sets"
    version = 1

    def __init__(self, basis: Basis, kinds: dict[str, str], sizes: Sequence[int], each: int, group: int) -> None:
        self.basis, self._kinds, self._sizes, self._each, self._group = basis, kinds, sizes, each, group

    def links(self, table: LinkTable) -> list[Link]:
        """None."""
        return []

    def rings(self, links: Sequence[Link], table: LinkTable, honest_group: int | None = None) -> list[Ring]:
        """``each`` sets of each way and size, named by them."""
        rng, of, hours = np.random.default_rng(0), customers(table), profiles(table)
        kind = np.array([self._kinds[name] for name in table.accounts])
        made = []
        for way in WAYS:
            for size in self._sizes:
                for nth in range(self._each):
                    members = drawn(rng, way, size, kind, hours)
                    made.append(self._ring(f"{way}|{size}|{nth}", members, of, table))
        return made

    def _ring(self, name: str, members: np.ndarray, of: np.ndarray, table: LinkTable) -> Ring:
        parties: dict[int, list[str]] = defaultdict(list)
        for at in members.tolist():
            parties[int(of[at])].append(table.accounts[at])
        return Ring(
            ring_id=name,
            accounts=tuple(table.accounts[at] for at in members.tolist()),
            kinds=("payment", "place"),
            links=(),
            log10_p=0.0,
            honest_group=self._group,
            because=(),
            basis=self.basis,
            customers=tuple(map(tuple, parties.values())),
            evidence=manner(name, np.sort(members), of, table),
        )


def profiles(table: LinkTable) -> np.ndarray:
    """How each account's exchanges lie over the hours of the week: directions, zeros for those with few."""
    assert table.moments is not None
    account, hour, times = table.moments.columns()
    counts = np.zeros((len(table.accounts), WEEK))
    np.add.at(counts, (account, hour % WEEK), times)
    few = counts.sum(axis=1) < FEW
    roots = np.sqrt(counts)
    return np.where(few[:, None], 0.0, roots / np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), 1e-9))


def drawn(rng: np.random.Generator, way: str, size: int, kind: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """The rows of one set. A kind must have twice as many accounts."""
    those = np.arange(len(kind))
    if "kind" in way:
        names, counts = np.unique(kind, return_counts=True)
        those = np.flatnonzero(kind == rng.choice(names[counts >= 2 * size]))
    if "hours" not in way:
        return rng.choice(those, size, replace=False)
    one = rng.choice(those[hours[those].any(axis=1)])
    return those[np.argsort(-(hours[those] @ hours[one]))[:size]]


def main() -> None:
    """Build, learn, put together, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traffic", type=Path, default=Path("../shared/traffic"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--accounts", type=int, default=4000)
    parser.add_argument("--benign", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 30, 60])
    parser.add_argument("--each", type=int, default=100)
    parser.add_argument("--group", type=int, default=12, help="how many accounts an honest company has, for `shared`")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as held:
        folder = simulated(
            given.traffic, given.work or Path(held), seed=given.seed, accounts=given.accounts, rings=(),
            benign=given.benign,
        )  # fmt: skip
        kinds = json.loads((folder / "labels.json").read_text())["accounts"]
        granted = pl.col("account_id").is_in([grant.account_id for grant in read_grants(folder / "grants.json")])
        frame = pl.read_parquet(folder / "traffic.parquet").sort("time")
    learnt = Watch()
    for part in frame.iter_slices(200_000):
        learnt.learn_batch(from_frame(part.filter(~granted), learnt.parts))
        learnt.learn_permitted(from_frame(part.filter(granted), frozenset()))
    snapshot = learnt.snapshot()
    for basis in BASES:
        watch = Watch(ring_detectors=(Sets(basis, kinds, given.sizes, given.each, given.group),))
        watch.judge_from([snapshot])
        print(f"\nfound by {basis}")
        worth: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for finding in watch.evaluate_alone(notable=float("-inf")).findings:
            if finding.subject_kind == "ring":
                for family, log10_e in by_family(finding.evidence).items():
                    worth[finding.subject.rsplit("|", 1)[0]][family].append(log10_e)
        for title, families in worth.items():
            told = "  ".join(said(family, np.array(each)) for family, each in sorted(families.items()))
            print(f"{title:<22}{told}", flush=True)


def said(family: str, log10_e: np.ndarray) -> str:
    """One family in words."""
    high = int((log10_e >= LEAST).sum())
    low, up = wilson(high, len(log10_e))
    mean = float(np.mean(10.0 ** np.minimum(log10_e, CAP)))
    return f"{family} {high / len(log10_e):.2f} [{low:.2f}, {up:.2f}], mean {mean:.2f}"


if __name__ == "__main__":
    main()
