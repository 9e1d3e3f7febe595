"""The values that several accounts use, who uses them, and which of them link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from spiritsafe.detect.features import SHARED
from spiritsafe.detect.types import KINDS, Link

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spiritsafe.detect.types import LinkTable

LEAST_LOG10_E = 1.3
"""A value links if accounts share it by chance less than once in twenty: what many use links nobody."""

_CLIENT = [column for column, (_, kind) in enumerate(SHARED) if kind == "client"]


class SharedValues:
    """``rows`` has a row a value: ``at`` (its number), ``column``, ``kind`` (an index into ``KINDS``), ``value``,
    ``size`` (accounts), ``log10_e``, and ``links``, whether it links by itself. ``uses`` has a row an account and
    value: ``account``, ``at``.
    """

    def __init__(self, table: LinkTable) -> None:
        uses = pl.DataFrame({"account": table.account, "column": table.column, "value": table.value})
        kinds = pl.DataFrame({"column": range(len(SHARED)), "kind": [KINDS.index(kind) for _, kind in SHARED]})
        rows = uses.group_by("column", "value").len("size").filter(pl.col("size") > 1).sort("column", "value")
        self.names = table.accounts
        self.rows = (
            rows.with_columns(_log10_e(len(table.accounts)).alias("log10_e"))
            .with_columns(links=(pl.col("log10_e") >= LEAST_LOG10_E) & ~pl.col("column").is_in(_CLIENT))
            .join(kinds, on="column", maintain_order="left")
            .with_row_index("at")
        )
        self.uses = uses.join(self.rows.select("at", "column", "value"), on=["column", "value"]).select("account", "at")

    def named(self, accounts: Iterable[int]) -> tuple[str, ...]:
        """The names of accounts, sorted; those without a name are only there to count by, and left out."""
        return tuple(sorted(name for account in accounts if (name := self.names[account])))

    def links(self) -> dict[int, Link]:
        """The values that link by themselves, by their number."""
        strong = self.rows.filter("links")
        users = self.uses.join(strong.select("at"), on="at").group_by("at").agg("account")
        return {
            row["at"]: Link(
                kind=KINDS[row["kind"]],
                value=f"{row['value']:016x}",
                accounts=self.named(row["account"]),
                log10_e=row["log10_e"],
            )
            for row in strong.join(users, on="at").sort("at").iter_rows(named=True)
        }

    def values_of(self, kind: int) -> int:
        """How many values of a kind several accounts use."""
        return self.rows.filter(pl.col("kind") == kind).height


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
