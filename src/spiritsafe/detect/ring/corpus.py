"""Customers that ask from one corpus, and leave to each other what they don't ask themselves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from spiritsafe.detect.ring.alike import alike
from spiritsafe.detect.ring.customers import customers
from spiritsafe.detect.ring.dealt import Askers, dealt
from spiritsafe.detect.ring.lockstep import in_step
from spiritsafe.detect.ring.manner import manner
from spiritsafe.detect.ring.samples import equally_often
from spiritsafe.detect.types import Ring
from spiritsafe.detect.wealth import evidence_of_ring
from spiritsafe.stats.result import Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.cores import Sample
    from spiritsafe.detect.ring.dealt import Dealt
    from spiritsafe.detect.types import Basis, BoolArray, FloatArray, IntArray, Link, LinkTable

LEAST_CUSTOMERS = 3
_SELDOM = 0.02
"""Repetitions an exchange. Honest accounts of a few hundred exchanges have .1 and more (docs/log.md)."""

_OFTEN = 0.2
"""Where its own accounts repeat themselves so much, nothing was dealt out, and the tests are spared."""

_NULL = (
    "each customer asks for itself: again and again from what it likes, or each thing once without knowing what the"
    " others asked"
)


class Corpus:
    """Candidates are accounts whose questions can't be told apart; the tests are those of ``dealt`` and of
    ``samples``: nothing asked twice, or everything as often.
    """

    name = "corpus"
    version = 1
    basis: Basis = "asked"

    def links(self, table: LinkTable) -> list[Link]:
        """None: what is asked is no value that could be shared."""
        return []

    def rings(self, links: Sequence[Link], table: LinkTable, honest_group: int | None = None) -> list[Ring]:
        """The communities that cover a corpus better than chance; its evidence is of the family ``together``."""
        if table.means is None or table.cores is None or not len(table.means):
            return []
        held, of = table.cores.sample(), table.once(customers)
        candidates = [part for members in alike(table.means) for part in _parts(members, held)]
        candidates = [members for members in candidates if len(np.unique(of[members])) >= LEAST_CUSTOMERS]
        # Two tests of each candidate.
        price = math.log10(max(2 * len(candidates) * table.looks, 1))
        everyone = table.once(askers)
        tested = [_tested(members, held, everyone, of, price) for members in candidates]
        found: list[Ring] = []
        sets: list[IntArray] = []
        taken: set[int] = set()
        for each in sorted(tested, key=lambda one: one.log10_p):
            # Of a community and its part, the surer one.
            if each.log10_p < 0.0 and taken.isdisjoint(each.members.tolist()):
                found.append(_ring(each, held, of, table))
                taken.update(each.members.tolist())
                sets.append(each.members)
        steps = in_step([ring.ring_id for ring in found], sets, table)
        if not steps:
            return found
        both = zip(found, steps, strict=True)
        return [msgspec.structs.replace(ring, evidence=(*ring.evidence, step)) for ring, step in both]


class _Tested(NamedTuple):
    """``seen`` is None where nobody else asks from the corpus; p-values have paid for all candidates and both tests."""

    members: IntArray
    seen: Dealt | None
    log10_dealt: float
    log10_p: float


def askers(table: LinkTable) -> Askers:
    """All accounts, and after them those under a grant, with what they asked."""
    assert table.cores is not None
    samples = [(table.cores.sample(), len(table.accounts))]
    if table.permitted is not None:
        permitted = table.permitted.sample()
        names, number = np.unique(permitted.account, return_inverse=True)
        samples.append((permitted._replace(account=number), len(names)))
    return Askers.of(samples)


def outsiders(members: IntArray, of: IntArray, everyone: Askers) -> BoolArray:
    """Which askers are no members. Customers of members are no outsiders, whatever else their accounts ask."""
    others = np.ones(everyone.accounts, dtype=bool)
    others[: len(of)] = ~np.isin(of, of[members])
    return others


def _tested(members: IntArray, held: Sample, everyone: Askers, of: IntArray, price: float) -> _Tested:
    inside = held.of(members)
    seen = dealt(everyone, members, of, outsiders(members, of, everyone))
    equal = -equally_often("", inside, of[inside.account]).result.statistic
    shares = 0.0 if seen is None else min(0.0, seen.log10_p + price)
    return _Tested(members, seen, shares, min(shares, equal + price, 0.0))


def _repeats(members: IntArray, held: Sample) -> tuple[FloatArray, FloatArray]:
    """How many exchanges each of some accounts (sorted) has in the sample, and how many pairs of them ask the same."""
    mine = held.of(members)
    row = np.searchsorted(members, mine.account)
    times = mine.times.astype(np.float64)
    asked = np.bincount(row, weights=times, minlength=len(members))
    again = np.bincount(row, weights=times * (times - 1.0) / 2.0, minlength=len(members))
    return asked.astype(np.float64), again.astype(np.float64)


def _parts(members: IntArray, held: Sample) -> list[IntArray]:
    """A community, unless it repeats itself, and those of it who hardly come back to what they asked.

    Others may only be interested in the same. To pick them by their own repetitions says nothing about what they leave
    to each other.
    """
    asked, again = _repeats(members, held)
    if again.sum() > _OFTEN * asked.sum():
        return []
    part = members[again <= _SELDOM * asked]
    return [members, part] if LEAST_CUSTOMERS <= len(part) < len(members) else [members]


def _ring(found: _Tested, held: Sample, of: IntArray, table: LinkTable) -> Ring:
    members, seen, log10_p = found.members, found.seen, found.log10_p
    parts: dict[int, list[str]] = {}
    for at in members.tolist():
        parts.setdefault(int(of[at]), []).append(table.accounts[at])
    names = tuple(sorted(table.accounts[at] for at in members.tolist()))
    ring_id = f"ring-corpus-{names[0]}"
    asked, again = _repeats(members, held)
    reasons = {
        table.accounts[at]: (
            f"its questions can't be told from the others', and of {n:.0f} of them {same:.0f} pairs are the same"
        )
        for at, n, same in zip(members.tolist(), asked.tolist(), again.tolist(), strict=True)
        if same <= _SELDOM * n
    }
    because: tuple[str, ...] = (f"{len(names)} accounts of {len(parts)} customers ask from one corpus",)
    if seen is not None and found.log10_dealt < 0.0:
        because += (
            (
                f"of the {seen.urn:,} questions of it that {seen.outsiders} others asked, they asked"
                f" {seen.distinct:,} different ones in {seen.draws:,} exchanges, where at most {seen.expected:,.0f}"
                " would be different if each asked for itself"
            ),
            f"by chance so many are different in one case in 10^{-found.log10_dealt:.0f}",
        )
    because += ("it would be cleared by an employer or a course that gave each of them a part of one list",)
    return Ring(
        ring_id=ring_id,
        accounts=names,
        kinds=("corpus",),
        links=(),
        log10_p=log10_p,
        honest_group=max(len(part) for part in parts.values()),
        because=because,
        basis="asked",
        customers=tuple(tuple(sorted(part)) for part in parts.values()),
        evidence=(
            *((_evidence(ring_id, seen, found.log10_dealt, because),) if seen is not None else ()),
            *manner(ring_id, members, of, table),
        ),
        reasons=reasons,
    )


def _evidence(ring_id: str, seen: Dealt, log10_p: float, because: tuple[str, ...]) -> Evidence:
    return evidence_of_ring(
        "together",
        "dealt",
        ring_id,
        _NULL,
        log10_p,
        n=seen.draws,
        unit="exchanges",
        effect=seen.distinct / max(seen.expected, 1.0),
        distribution="binomial, of distinct questions among those known from others",
        because=because,
        statistic=-seen.log10_p,
    )
