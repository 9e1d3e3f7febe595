"""Customers that ask from one corpus, and leave to each other what they don't ask themselves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.ring.alike import alike
from spiritsafe.detect.ring.customers import customers
from spiritsafe.detect.ring.dealt import dealt
from spiritsafe.detect.types import Ring
from spiritsafe.stats.evalues import calibrate_mixture
from spiritsafe.stats.logs import p_from_log10
from spiritsafe.stats.result import Evidence, Exact, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.cores import Sample
    from spiritsafe.detect.ring.dealt import Dealt
    from spiritsafe.detect.types import Basis, IntArray, Link, LinkTable

LEAST_CUSTOMERS = 3
_NULL = (
    "each customer asks for itself: again and again from what it likes, or each thing once without knowing what the"
    " others asked"
)


class Corpus:
    """Candidates are accounts whose questions can't be told apart; the test is that of ``dealt``."""

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
        held, of = table.cores.sample(), customers(table)
        permitted = table.permitted.sample() if table.permitted is not None else None
        found = []
        communities = alike(table.means)
        for members in communities:
            seen = _seen(members, held, permitted, of)
            if seen is None or seen.log10_p >= 0.0 or len(np.unique(of[members])) < LEAST_CUSTOMERS:
                continue
            price = math.log10(len(communities) * table.looks)
            found.append(_ring(members, seen, min(0.0, seen.log10_p + price), of, table))
        return found


def _seen(members: IntArray, held: Sample, permitted: Sample | None, of: IntArray) -> Dealt | None:
    inside = held.where(np.isin(held.account, members))
    # Customers of members are no outsiders, whatever else their accounts ask.
    outside = held.where(~np.isin(of[held.account], of[members]))
    if permitted is not None:
        outside = outside.beside(permitted, len(of))
    return dealt(inside, of[inside.account], outside)


def _ring(members: IntArray, seen: Dealt, log10_p: float, of: IntArray, table: LinkTable) -> Ring:
    parts: dict[int, list[str]] = {}
    for at in members.tolist():
        parts.setdefault(int(of[at]), []).append(table.accounts[at])
    names = tuple(sorted(table.accounts[at] for at in members.tolist()))
    ring_id = f"ring-corpus-{names[0]}"
    because = (
        (
            f"{len(names)} accounts of {len(parts)} customers ask from one corpus; of the {seen.urn:,} questions of it"
            f" that {seen.outsiders} others asked, they asked {seen.distinct:,} different ones in {seen.draws:,}"
            f" exchanges, where at most {seen.expected:,.0f} would be different if each asked for itself"
        ),
        f"by chance so many are different in one case in 10^{-log10_p:.0f}",
        "it would be cleared by an employer or a course that gave each of them a part of one list",
    )
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
            Evidence(
                family="together",
                result=Result(
                    name="dealt",
                    version=1,
                    subject=ring_id,
                    null=_NULL,
                    statistic=-seen.log10_p,
                    p_value=p_from_log10(log10_p),
                    log10_e=calibrate_mixture(max(log10_p, -300.0)),
                    n=seen.draws,
                    unit="exchanges",
                    effect=seen.distinct / max(seen.expected, 1.0),
                    method=Exact(distribution="binomial, of distinct questions among those known from others"),
                    because=because,
                ),
            ),
        ),
    )
