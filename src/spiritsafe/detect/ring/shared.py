"""The values that several accounts use, who uses them, and which of them link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from spiritsafe.detect.features import SHARED
from spiritsafe.detect.types import KINDS, Link, LinkKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spiritsafe.detect.types import LinkTable

LEAST_LOG10_E: dict[LinkKind, float] = {"payment": 0.7, "place": 1.3, "system": 1.3, "client": float("inf")}
"""A value links if accounts share it by chance less than once in twenty (a card: in five): what many use links nobody.

A program never links by itself: a handful of them serve everyone.
"""

JOINS: frozenset[LinkKind] = frozenset({"payment", "place"})
"""Values that somebody controls join whoever uses them. Programs and system prompts are copied by strangers: they
confirm other links and join nothing.
"""

LEAST_BACKGROUND = 30
"""So many accounts of a reference tell better what is common than the accounts that are looked at."""


class SharedValues:
    """``rows`` has a row a value: ``at`` (its number), ``column``, ``kind`` (an index into ``KINDS``), ``value``,
    ``size`` (accounts), ``log10_e``, ``links``, whether it links by itself, and ``joins``, whether it also holds
    rings together. ``uses`` has a row an account and value: ``account``, ``at``.
    """

    def __init__(self, table: LinkTable) -> None:
        uses = pl.DataFrame({"account": table.account, "column": table.column, "value": table.value})
        kinds = pl.DataFrame({"column": range(len(SHARED)), "kind": [KINDS.index(kind) for _, kind in SHARED]})
        rows = uses.group_by("column", "value").len("size").filter(pl.col("size") > 1).sort("column", "value")
        least = pl.DataFrame({"kind": range(len(KINDS)), "least": [LEAST_LOG10_E[kind] for kind in KINDS]})
        self.names = table.accounts
        self.rows = (
            _with_log10_e(rows, uses, table.accounts)
            .join(kinds, on="column", maintain_order="left")
            .join(least, on="kind", maintain_order="left")
            .with_columns(links=pl.col("log10_e") >= pl.col("least"))
            .with_columns(joins=pl.col("links") & pl.col("kind").is_in([KINDS.index(kind) for kind in JOINS]))
            .drop("least")
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


def _with_log10_e(rows: pl.DataFrame, uses: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Add log10 of 1 / the chance that an account shares a value by accident.

    The chance is the larger of two: the share of accounts that use the value, and how often two accounts share any
    other value of its column. A network that a tenth of all accounts use links nobody, nor does any network
    where sharing networks is what everyone does. Both are counted among the accounts of the reference if there are
    enough of them, so that a ring can't make its own card popular, and else among all others of the log.
    """
    unnamed = [place for place, name in enumerate(names) if not name]
    if len(unnamed) >= LEAST_BACKGROUND:
        behind = uses.filter(pl.col("account").is_in(unnamed)).group_by("column", "value").len("base")
        rows = rows.join(behind, on=["column", "value"], how="left", maintain_order="left")
        base, accounts, rest = pl.col("base").fill_null(0).cast(pl.Float64), len(unnamed), 1.0
    else:
        base, accounts, rest = pl.col("size").cast(pl.Float64), len(names), -1.0
    pairs = base * (base - 1.0) / 2.0
    others = pl.max_horizontal(float(accounts) - base, 2.0)
    typical = (pairs.sum().over("column") - pairs) / (others * (others - 1.0) / 2.0)
    popular = (base + rest) / max(accounts + rest, 1.0)
    log10_e = -pl.min_horizontal(pl.max_horizontal(typical, popular), 1.0).log10()
    return rows.with_columns(log10_e=log10_e).select("column", "value", "size", "log10_e")
