"""Who asks together: accounts that share payment, place, client or system prompt by more than chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy import sparse

from spiritsafe.detect.features import SHARED
from spiritsafe.detect.ring.chance import Meeting, explain, log10_chance
from spiritsafe.detect.types import KINDS, Link, LinkKind, Ring
from spiritsafe.stats.exact import hypergeometric_upper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import LinkTable

LEAST_LOG10_E = 1.3
"""A value links if accounts share it by chance less than once in twenty: what many use links nobody."""

LEAST_MEMBERS = 3
LEAST_GROUP = 5
LEVEL = -3.0
"""log10 of the chance that any two values of the whole log coincide by accident (all pairs counted, Bonferroni)."""

_LEAST_LIFT = 2.0
_HONEST_QUANTILE = 0.95


@dataclass(frozen=True, eq=False)
class _Draft:
    """A ring before it is judged. ``core`` has, for each kind, how its most used value lies among the members."""

    accounts: tuple[str, ...]
    kinds: tuple[LinkKind, ...]
    links: tuple[Link, ...]
    core: tuple[Meeting, ...] = ()


class Infrastructure:
    """Links by lift over the base rate; rings by two independent kinds of link that coincide beyond chance.

    No cap on how many accounts a value may have: a popular value has no lift, and that alone removes it. A client
    program links nobody by itself, a handful of them serve everyone; it can confirm another link.
    """

    name = "infrastructure"
    version = 1

    def links(self, table: LinkTable) -> list[Link]:
        """One link a value that several accounts share and few others would share by chance."""
        return list(_links(_Shared(table)).values())

    def rings(self, links: Sequence[Link], table: LinkTable, honest_group: int | None = None) -> list[Ring]:
        """Rings bound by two kinds of link, then candidates bound by one; no link serves two of them."""
        shared = _Shared(table)
        drafts = _bound(shared, _links(shared))
        taken = {link.value for draft in drafts for link in draft.links}
        drafts += [
            _Draft(link.accounts, (link.kind,), (link,))
            for link in links
            if link.value not in taken and len(link.accounts) >= LEAST_MEMBERS
        ]
        return [_ring(draft, len(table.accounts), honest_group or _honest_group(drafts, draft)) for draft in drafts]


class _Shared:
    """The values that several accounts use, and who uses them.

    ``rows`` has a row a value: ``at`` (its number), ``column``, ``value``, ``size`` (accounts), ``log10_e``, and
    ``links``, whether it links by itself. ``uses`` has a row an account and value: ``account``, ``at``.
    """

    def __init__(self, table: LinkTable) -> None:
        uses = pl.DataFrame({"account": table.account, "column": table.column, "value": table.value})
        rows = uses.group_by("column", "value").len("size").filter(pl.col("size") > 1).sort("column", "value")
        client = [i for i, (_, kind) in enumerate(SHARED) if kind == "client"]
        self.names = table.accounts
        self.rows = (
            rows.with_columns(_log10_e(len(table.accounts)).alias("log10_e"))
            .with_columns(links=(pl.col("log10_e") >= LEAST_LOG10_E) & ~pl.col("column").is_in(client))
            .with_row_index("at")
        )
        self.uses = uses.join(self.rows.select("at", "column", "value"), on=["column", "value"]).select("account", "at")

    def named(self, accounts: Sequence[int]) -> tuple[str, ...]:
        """The names of accounts, sorted."""
        return tuple(sorted(self.names[account] for account in accounts))


def _log10_e(accounts: int) -> pl.Expr:
    """log10 of 1 / the chance that an account shares a value by accident.

    The chance is the larger of two: the share of all other accounts that use it, and how often two accounts share
    any other value of its column. A card on which a tenth of all accounts lie links nobody, nor does a network
    where sharing networks is what everyone does.
    """
    size = pl.col("size").cast(pl.Float64)
    pairs = size * (size - 1.0) / 2.0
    others = pl.max_horizontal(float(accounts) - size, 2.0)
    typical = (pairs.sum().over("column") - pairs) / (others * (others - 1.0) / 2.0)
    popular = (size - 1.0) / max(accounts - 1.0, 1.0)
    return -pl.min_horizontal(pl.max_horizontal(typical, popular), 1.0).log10()


def _links(shared: _Shared) -> dict[int, Link]:
    """The values that link by themselves, by their number."""
    strong = shared.rows.filter("links")
    users = shared.uses.join(strong.select("at"), on="at").group_by("at").agg("account")
    return {
        row["at"]: Link(
            kind=SHARED[row["column"]][1],
            value=f"{row['value']:016x}",
            accounts=shared.named(row["account"]),
            log10_e=row["log10_e"],
        )
        for row in strong.join(users, on="at").sort("at").iter_rows(named=True)
    }


def _meetings(shared: _Shared) -> pl.DataFrame:
    """Pairs of values of different kinds that coincide beyond chance: ``at``, ``at_right`` and ``log10_p``.

    Given how many accounts use each, the number that uses both is hypergeometric if the two are independent. One
    of them must link by itself. All pairs that could have been formed count, whether anyone used both or not.
    """
    kinds = np.array([KINDS.index(kind) for _, kind in SHARED])
    values = shared.rows.with_columns(
        kind=pl.Series(kinds[shared.rows.get_column("column").to_numpy()], dtype=pl.Int64)
    )
    used = shared.uses.join(values.select("at", "kind", "size", "links"), on="at")
    met = (
        used.join(used, on="account", suffix="_right")
        .filter((pl.col("kind") < pl.col("kind_right")) & (pl.col("links") | pl.col("links_right")))
        .group_by("at", "at_right", "kind", "kind_right", "size", "size_right", "links", "links_right")
        .len("both")
        .filter(pl.col("both") >= LEAST_MEMBERS)
    )
    sizes = values.get_column("kind").to_numpy()
    possible = sum(int((sizes == a).sum()) * int((sizes == b).sum()) for a in range(len(KINDS)) for b in range(a))
    n = len(shared.names)
    both, left, right = (met.get_column(name).to_numpy() for name in ("both", "size", "size_right"))
    log10_p = np.asarray(hypergeometric_upper(both, n, left, right)) if len(met) else np.zeros(0)
    lift = both.astype(np.float64) * n / (left.astype(np.float64) * right)
    adjusted = np.where(lift >= _LEAST_LIFT, log10_p + math.log10(max(possible, 1)), 0.0)
    return met.with_columns(log10_p=pl.Series(adjusted, dtype=pl.Float64)).filter(pl.col("log10_p") <= LEVEL)


def _bound(shared: _Shared, links: dict[int, Link]) -> list[_Draft]:
    """Rings of two kinds: values that coincide are joined, and their common accounts with them."""
    met = _meetings(shared)
    if not len(met):
        return []
    # A popular value confirms the other one but joins nothing: else every user of one program would be one ring.
    joined = met.filter(pl.col("links") & pl.col("links_right"))
    a, b = joined.get_column("at").to_numpy(), joined.get_column("at_right").to_numpy()
    graph = sparse.coo_matrix((np.ones(len(a)), (a, b)), shape=(len(shared.rows),) * 2)
    _, label = sparse.csgraph.connected_components(graph, directed=False)
    anchor = np.where(
        met.get_column("links").to_numpy(), met.get_column("at").to_numpy(), met.get_column("at_right").to_numpy()
    )
    met = met.with_columns(ring=pl.Series(label[anchor]))
    common = (
        met.select("at", "at_right", "ring")
        .join(shared.uses, on="at")
        .join(shared.uses, left_on=["at_right", "account"], right_on=["at", "account"])
        .group_by("ring")
        .agg(pl.col("account").unique())
    )
    members = dict(zip(common.get_column("ring").to_list(), common.get_column("account").to_list(), strict=True))
    return [_draft(shared, links, part, members[ring]) for (ring,), part in met.group_by("ring", maintain_order=True)]


def _draft(shared: _Shared, links: dict[int, Link], met: pl.DataFrame, members: list[int]) -> _Draft:
    """One ring of two kinds from the pairs of values that bind it."""
    values = {at for name in ("at", "at_right") for at in met.get_column(name).to_list()}
    kinds = {KINDS[kind] for name in ("kind", "kind_right") for kind in met.get_column(name).to_list()}
    return _Draft(
        accounts=shared.named(members),
        kinds=tuple(kind for kind in KINDS if kind in kinds),
        links=tuple(links[at] for at in sorted(values) if at in links),
        core=_core(shared, kinds, members),
    )


def _core(shared: _Shared, kinds: set[LinkKind], members: list[int]) -> tuple[Meeting, ...]:
    """The members that use the most used value of every kind, kind after kind, the most common first."""
    inside = shared.uses.filter(pl.col("account").is_in(members)).join(shared.rows, on="at")
    most = (
        inside.group_by("at", "column", "size")
        .agg("account", users=pl.len())
        .sort("users", "at", descending=[True, False])
    )
    steps: dict[LinkKind, Meeting] = {}
    core = set(members)
    for row in most.iter_rows(named=True):
        kind = SHARED[row["column"]][1]
        if kind in kinds and kind not in steps:
            before, core = len(core), core & set(row["account"])
            of_kind = [column for column, (_, other) in enumerate(SHARED) if other == kind]
            values = shared.rows.filter(pl.col("column").is_in(of_kind)).height
            steps[kind] = Meeting(kind, len(core), before, row["size"], values)
    return tuple(steps.values())


def _honest_group(drafts: Sequence[_Draft], but: _Draft) -> int:
    """How many accounts an honest company has at most, read off the other groups of the log: their .95 quantile.

    Groups that share a network alone don't count, for strangers do.
    """
    sizes = [len(d.accounts) for d in drafts if d is not but and d.kinds != ("place",) and d.kinds != ("system",)]
    return max(LEAST_GROUP, int(np.quantile(sizes, _HONEST_QUANTILE, method="higher")) if sizes else 0)


def _ring(draft: _Draft, accounts: int, group: int) -> Ring:
    anchor = max(draft.links, key=lambda link: (len(link.accounts), link.value))
    because = [f"{len(link.accounts)} accounts share one {link.kind}" for link in _largest(draft.links)]
    return Ring(
        ring_id=f"ring-{anchor.value}",
        accounts=draft.accounts,
        kinds=draft.kinds,
        links=draft.links,
        log10_p=log10_chance(draft.core, accounts, group),
        honest_group=group,
        because=(*because, *explain(draft.core, group)),
    )


def _largest(links: Sequence[Link]) -> list[Link]:
    """The largest link of each kind."""
    best = {link.kind: link for link in sorted(links, key=lambda link: len(link.accounts))}
    return list(best.values())
