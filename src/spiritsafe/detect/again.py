"""Reads some accounts' last exchanges a second time, with their ids and their words, to say what weighs most."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from spiritsafe.detect import rows as reading
from spiritsafe.detect.features import Batch, from_exchanges, from_frame
from spiritsafe.record.exchange import prompt_text
from spiritsafe.record.pick import of_accounts
from spiritsafe.stats.result import Telling

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from spiritsafe.detect.log import Log
    from spiritsafe.detect.types import IntArray
    from spiritsafe.record.exchange import Exchange
    from spiritsafe.record.sketch import Part
    from spiritsafe.store.models import Grant

EXCERPT = 280
"""Characters of a text that are told."""


@dataclass(frozen=True, eq=False)
class Again:
    """Exchanges in their order, and beside each its id, its place in a sealed record, and its text, where known."""

    batch: Batch
    ids: Sequence[str | None]
    rows: Sequence[int | None]
    texts: Sequence[str | None]

    def of(self, account: str) -> IntArray:
        """Where an account's exchanges stand."""
        if account not in self.batch.accounts:
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(self.batch.owner == self.batch.accounts.index(account))

    def telling(self, at: int, share: float) -> Telling:
        """One of the exchanges, as it is told."""
        seconds, text = float(self.batch.seconds[at]), self.texts[at]
        return Telling(
            account_id=self.batch.accounts[int(self.batch.owner[at])],
            share=round(share, 4),
            exchange_id=self.ids[at],
            time=None if np.isnan(seconds) else datetime.fromtimestamp(seconds, UTC),
            row=self.rows[at],
            text=None if text is None else excerpt(text),
        )


def excerpt(text: str) -> str:
    """A text on one line, cut off where it is long."""
    line = " ".join(text[: 4 * EXCERPT].split())
    return line if len(line) <= EXCERPT else f"{line[:EXCERPT]}..."


def from_record(
    folder: Path, accounts: Collection[str], parts: frozenset[Part], *, each: int, key: bytes = b"", texts: bool = False
) -> Again:
    """From a sealed record; with ``texts``, what was asked is kept beside it. Exchanges under a grant are left out."""
    held = [(row, one) for row, one in of_accounts(folder, accounts, each=each) if one.grant_id is None]
    return _of_exchanges(held, parts, key, texts)


def from_log(
    log: Log, accounts: Collection[str], parts: frozenset[Part], *, each: int, grants: Sequence[Grant]
) -> Again:
    """From the sources of a scan, the last ones first, and no further back than it takes to complete all accounts.

    Of a log that is one sealed record, row numbers are known as well. Raises as ``rows.frames`` and ``read`` do.
    """
    if len(log.sources) == 1 and log.sources[0].sealed:
        held = of_accounts(log.sources[0].path, accounts, each=each)
        return _of_exchanges([(at, one) for at, one in held if not reading.permitted(one, grants)], parts, b"", True)
    frames: list[pl.DataFrame] = []
    left = dict.fromkeys(accounts, each)
    for partition in reversed(log.partitions):
        left = {name: count for name, count in left.items() if count > 0}
        if not left:
            break
        if partition.groups is not None:
            frames.append(_take(reading.of_accounts(partition, list(left), grants), left))
        elif partition.first == 0:
            held = of_accounts(partition.path, left, each=each)
            kept = [one for _, one in held if not reading.permitted(one, grants)]
            frames.append(_take(reading.as_frame(kept), left))
    if not frames:
        return _of_exchanges([], parts, b"", True)
    frame, name = pl.concat(frames[::-1]), pl.col("exchange_id")
    frame = frame.filter(name.is_null() | name.is_first_distinct())
    ids, words = frame.get_column("exchange_id").to_list(), frame.get_column("prompt").to_list()
    return Again(from_frame(frame, parts), ids, [None] * len(ids), words)


def _take(frame: pl.DataFrame, left: dict[str, int]) -> pl.DataFrame:
    """Of each account the last rows that are still wanted; counts them off."""
    wanted = pl.DataFrame({"account_id": list(left), "left": pl.Series(list(left.values()), dtype=pl.Int64)})
    back = pl.int_range(pl.len(), 0, -1).over("account_id")
    counted = frame.join(wanted, on="account_id", how="left", maintain_order="left")
    kept = counted.filter(back <= pl.col("left")).drop("left")
    for name, count in kept.group_by("account_id").len().iter_rows():
        left[name] -= count
    return kept


def _of_exchanges(held: list[tuple[int, Exchange]], parts: frozenset[Part], key: bytes, texts: bool) -> Again:
    exchanges = [one for _, one in held]
    words = [prompt_text(one) if texts else None for one in exchanges]
    batch = from_exchanges(exchanges, parts, key)
    return Again(batch, [one.exchange_id for one in exchanges], [row for row, _ in held], words)
