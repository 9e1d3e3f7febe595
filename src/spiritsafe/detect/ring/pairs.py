"""Rings around pairs of values: accounts that share two values of different kinds, beyond chance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy import sparse

from spiritsafe.detect.ring.draft import Draft, core_of
from spiritsafe.detect.types import KINDS
from spiritsafe.stats.exact import hypergeometric_upper

if TYPE_CHECKING:
    from spiritsafe.detect.ring.shared import SharedValues
    from spiritsafe.detect.types import Link

LEAST_MEMBERS = 3
LEVEL = -3.0
"""log10 of the chance that any two values of the whole log coincide by accident (all pairs counted, Bonferroni)."""

_LEAST_LIFT = 2.0


def paired(shared: SharedValues, links: dict[int, Link]) -> list[Draft]:
    """Values that coincide are joined, and the accounts that they have in common with them."""
    met = _coincidences(shared)
    if met.is_empty():
        return []
    # What joins nothing confirms the other value: else every user of one program would be one ring.
    joined = met.filter(pl.col("joins") & pl.col("joins_right"))
    a, b = joined.get_column("at").to_numpy(), joined.get_column("at_right").to_numpy()
    graph = sparse.coo_matrix((np.ones(len(a)), (a, b)), shape=(len(shared.rows),) * 2)
    _, label = sparse.csgraph.connected_components(graph, directed=False)
    anchor = met.select(pl.when("joins").then("at").otherwise("at_right")).to_series().to_numpy()
    met = met.with_columns(ring=pl.Series(label[anchor]))
    common = (
        met.select("at", "at_right", "ring")
        .join(shared.uses, on="at")
        .join(shared.uses, left_on=["at_right", "account"], right_on=["at", "account"])
        .group_by("ring")
        .agg(pl.col("account").unique())
    )
    members = dict(zip(common.get_column("ring").to_list(), common.get_column("account").to_list(), strict=True))
    return [
        _draft(shared, links, part, set(members[ring])) for (ring,), part in met.group_by("ring", maintain_order=True)
    ]


def _coincidences(shared: SharedValues) -> pl.DataFrame:
    """Pairs of values of different kinds that coincide beyond chance: ``at``, ``at_right`` and ``log10_p``.

    Given how many accounts use each, the number that uses both is hypergeometric if the two are independent. One
    of them must be a link that somebody controls. All pairs that could have been formed count, used together or not.
    """
    used = shared.uses.join(shared.rows.select("at", "kind", "size", "joins"), on="at")
    met = (
        used.join(used, on="account", suffix="_right")
        .filter((pl.col("kind") < pl.col("kind_right")) & (pl.col("joins") | pl.col("joins_right")))
        .group_by(*(f"{name}{side}" for name in ("at", "kind", "size", "joins") for side in ("", "_right")))
        .len("both")
        .filter(pl.col("both") >= LEAST_MEMBERS)
        .sort("at", "at_right")
    )
    if met.is_empty():
        return met
    sizes = [shared.values_of(kind) for kind in range(len(KINDS))]
    possible = sum(sizes[a] * sizes[b] for a in range(len(sizes)) for b in range(a))
    n = len(shared.names)
    both, left, right = (met.get_column(name).to_numpy() for name in ("both", "size", "size_right"))
    lift = both.astype(np.float64) * n / (left.astype(np.float64) * right)
    log10_p = hypergeometric_upper(both, n, left, right) + math.log10(possible)
    adjusted = pl.Series(np.where(lift >= _LEAST_LIFT, log10_p, 0.0), dtype=pl.Float64)
    return met.with_columns(log10_p=adjusted).filter(pl.col("log10_p") <= LEVEL)


def _draft(shared: SharedValues, links: dict[int, Link], met: pl.DataFrame, members: set[int]) -> Draft:
    values = {at for name in ("at", "at_right") for at in met.get_column(name).to_list()}
    kinds = {kind for name in ("kind", "kind_right") for kind in met.get_column(name).to_list()}
    return Draft(
        accounts=shared.named(members),
        kinds=tuple(KINDS[kind] for kind in sorted(kinds)),
        links=tuple(links[at] for at in sorted(values) if at in links),
        core=core_of(shared, kinds, members),
    )
