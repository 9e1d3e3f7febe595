"""Rings in which no value is common to all: several cards and several networks that cross one another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy import sparse, special

from spiritsafe.detect.ring.chance import Meeting
from spiritsafe.detect.ring.draft import Draft
from spiritsafe.detect.ring.pairs import LEAST_MEMBERS, LEVEL
from spiritsafe.detect.types import KINDS
from spiritsafe.stats.exact import hypergeometric_upper

if TYPE_CHECKING:
    from spiritsafe.detect.ring.shared import SharedValues
    from spiritsafe.detect.types import Link

CLOSED = 0.75
"""Of the accounts on a woven ring's values, this share uses two kinds of them. An office of several firms is open."""

_ROUNDS = 32


def woven(shared: SharedValues, links: dict[int, Link]) -> list[Draft]:
    """Sets in which every account shares rare values of two kinds with others of the set, and hardly anyone else."""
    uses = _kernel(shared)
    if uses.is_empty():
        return []
    accounts = len(shared.names)
    at = uses.get_column("at").to_numpy().astype(np.int64) + accounts
    size = accounts + len(shared.rows)
    graph = sparse.coo_matrix((np.ones(len(at)), (uses.get_column("account").to_numpy(), at)), shape=(size, size))
    _, label = sparse.csgraph.connected_components(graph, directed=False)
    parts = uses.with_columns(ring=pl.Series(label[at])).group_by("ring", maintain_order=True)
    drafts = (_draft(shared, links, part) for _, part in parts)
    return [draft for draft in drafts if draft is not None]


def _kernel(shared: SharedValues) -> pl.DataFrame:
    """What is left of ``uses`` when accounts with fewer than two kinds, and values with fewer than two accounts, go."""
    strong = shared.rows.filter("joins").select("at", "kind")
    uses = shared.uses.join(strong, on="at").sort("at", "account")
    for _ in range(_ROUNDS):
        kept = uses.filter(pl.col("kind").n_unique().over("account") > 1).filter(pl.len().over("at") > 1)
        if kept.height == uses.height:
            break
        uses = kept
    return uses


def _draft(shared: SharedValues, links: dict[int, Link], part: pl.DataFrame) -> Draft | None:
    """The ring of one connected part, by the two kinds that hold it most tightly; None if it is open or chance."""
    members = set(part.get_column("account").to_list())
    values = {kind: set(group.get_column("at").to_list()) for (kind,), group in part.group_by("kind")}
    everyone = {
        kind: set(shared.uses.filter(pl.col("at").is_in(list(ats))).get_column("account").to_list())
        for kind, ats in values.items()
    }
    first, second = sorted(everyone, key=lambda kind: (len(everyone[kind]), kind))[:2]
    a, b = everyone[first], everyone[second]
    both = a & b
    if len(both) < LEAST_MEMBERS or len(both) < CLOSED * max(len(a), len(b)):
        return None
    # Any so many values of each kind could have been picked.
    choices = [_log10_choose(shared.values_of(kind), len(values[kind])) for kind in (first, second)]
    if hypergeometric_upper(len(both), len(shared.names), len(a), len(b)) + sum(choices) > LEVEL:
        return None
    return Draft(
        accounts=shared.named(members),
        kinds=tuple(KINDS[kind] for kind in sorted(values)),
        links=tuple(links[at] for at in sorted(set().union(*values.values()))),
        core=(
            Meeting(KINDS[first], len(a), len(a), len(a), choices[0]),
            Meeting(KINDS[second], len(both), len(a), len(b), choices[1]),
        ),
    )


def _log10_choose(n: int, k: int) -> float:
    return float(-math.log(n + 1) - special.betaln(n - k + 1, k + 1)) / math.log(10.0)
