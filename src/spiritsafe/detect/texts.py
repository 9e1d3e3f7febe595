"""What detectors see of a log's texts, each different text once: tables on the disk that every process reads.

Campaigns and bots ask the same things in many accounts: of 18 million exchanges made from real prompts four in five
hold a text that another one held before. Accounts are dealt into buckets by their names and texts by their digests, so
no bucket of accounts has its texts to itself, and a text is cut and measured before accounts are learnt.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from spiritsafe.detect.account import account_detectors
from spiritsafe.detect.account.mix import Mix
from spiritsafe.record.sketch import COLUMNS, SketchColumns, sketch_texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from spiritsafe.detect.types import HashArray, IntArray

_ONLY_DERIVED_FROM = ("minhash", "ngrams", "trigrams")
_KEPT = tuple(name for name in COLUMNS if name not in _ONLY_DERIVED_FROM)


@dataclass(frozen=True)
class Table:
    """A folder with the digests of texts in ascending order, and a row of what is known of each."""

    folder: Path

    def write(self, digests: HashArray, rows: NDArray[Any]) -> None:
        """Keep them."""
        self.folder.mkdir()
        np.save(self._digests, digests)
        np.save(self._rows, rows)

    def digests(self) -> HashArray:
        """All of them."""
        return np.asarray(np.load(self._digests), dtype=np.uint64)

    def rows(self, at: IntArray) -> NDArray[Any]:
        """Some rows; the others are not read."""
        return np.asarray(np.load(self._rows, mmap_mode="r")[at])

    def drop(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder)

    @property
    def _digests(self) -> Path:
        return self.folder / "digests.npy"

    @property
    def _rows(self) -> Path:
        return self.folder / "rows.npy"


@dataclass(frozen=True)
class Cut:
    """Cut and measure the texts of ``shares`` for the detectors of these names. Shares are Arrow files with the columns
    ``text`` (digests) and ``prompt``.
    """

    shares: tuple[Path, ...]
    detectors: tuple[str, ...]
    table: Table


def cut(task: Cut) -> int:
    """Write a table: a row a text, in the order of their digests. Returns how many there are."""
    none = pl.DataFrame(schema={"text": pl.UInt64, "prompt": pl.String})
    held = pl.concat([none, *(pl.read_ipc_stream(share) for share in task.shares)]).unique("text").sort("text")
    detectors = [d for d in account_detectors() if d.name in task.detectors and d.sees == "prompts"]
    sketches = sketch_texts(held.get_column("prompt").to_list(), parts=frozenset().union(*(d.parts for d in detectors)))
    for detector in detectors:
        if isinstance(detector, Mix):
            detector.features(sketches)  # what it makes of texts stays with them
    columns = {name: column for name in _KEPT if (column := getattr(sketches, name)) is not None} | sketches.derived
    table = np.empty(held.height, [(name, column.dtype, column.shape[1:]) for name, column in columns.items()])
    for name, column in columns.items():
        table[name] = column
    task.table.write(held.get_column("text").to_numpy(), table)
    return held.height


class Texts:
    """All tables of a step: a text is in the one whose place is its digest modulo their number. Only what is asked for
    is read, and no table stays in memory.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tables
        self._digests = [table.digests() for table in tables]
        self._kind = tables[0].rows(np.zeros(0, dtype=np.int64)).dtype

    def of(self, asked: pl.Series) -> tuple[SketchColumns, IntArray]:
        """The sketches of the texts with these digests, with all that was derived of them, and in which row each of the
        digests stands: -1 for null, and for a text that is in no table.
        """
        there = asked.is_not_null().to_numpy()
        keys, inverse = np.unique(asked.drop_nulls().to_numpy(), return_inverse=True)
        table_of = (keys % np.uint64(len(self._tables))).astype(np.int64)
        row_of = np.full(len(keys), -1, dtype=np.int64)
        found, count = np.empty(len(keys), dtype=self._kind), 0
        for number, (table, digests) in enumerate(zip(self._tables, self._digests, strict=True)):
            mine = np.flatnonzero(table_of == number)
            row = np.searchsorted(digests, keys[mine])
            known = row < np.searchsorted(digests, keys[mine], side="right")
            first, count = count, count + int(known.sum())
            row_of[mine[known]] = np.arange(first, count)
            found[first:count] = table.rows(row[known])
        place = np.full(len(asked), -1, dtype=np.int64)
        place[there] = row_of[inverse]
        return _columns(found[:count]), place


def _columns(rows: NDArray[Any]) -> SketchColumns:
    names = cast("tuple[str, ...]", rows.dtype.names)
    held: dict[str, Any] = {name: np.ascontiguousarray(rows[name]) for name in names}
    columns = {name: held.pop(name, None) for name in COLUMNS}
    return SketchColumns(**columns, derived=held)
