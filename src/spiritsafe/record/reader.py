"""Reading a log: segments first, then journals, also while its writer is at work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from spiritsafe.errors import BrokenRecord, InputError
from spiritsafe.record import manifest, signed
from spiritsafe.record.canonical import Row, open_row
from spiritsafe.record.journal import Entry, Reader
from spiritsafe.record.layout import layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from threading import Event

    import polars as pl

    from spiritsafe.record.exchange import Exchange
    from spiritsafe.record.manifest import Manifest

Batch = list[tuple[int, Row]]

# A follower that found nothing looks again after these seconds: at first, and at most.
_SOON, _LATER = 0.02, 0.25
# How often, and after how long, a place that doesn't read is looked at again before it counts as bad.
_TRIES, _PAUSE = 20, 0.01


def read(folder: Path, *, start: int = 0) -> Iterator[tuple[int, Exchange]]:
    """Yield the log's exchanges with their row numbers, from row ``start`` on, up to the last one there is.

    Works beside a live writer. Journal rows are checked against their links as they are read; segments
    are not (``verify`` does that). Raises InputError for a folder without a log or a newer version,
    BrokenRecord where reading can't go on although something follows.
    """
    cursor = Cursor(folder, start)
    try:
        while batch := cursor.batch():
            yield from _exchanges(batch)
        cursor.check()
    finally:
        cursor.close()


def follow(folder: Path, start: int, stop: Event) -> Iterator[list[tuple[int, Exchange]]]:
    """Yield batches of exchanges from row ``start`` on as they come in, until ``stop`` is set.

    The folder need not exist yet. A row may be seen shortly before it is durable. Raises as ``read``.
    """
    cursor = Cursor(folder, start)
    delay = _SOON
    try:
        while not stop.is_set():
            batch = cursor.batch() if folder.is_dir() else []
            if batch:
                delay = _SOON
                yield list(_exchanges(batch))
                continue
            if delay == _LATER:
                cursor.check()
            stop.wait(delay)
            delay = min(2 * delay, _LATER)
    finally:
        cursor.close()


def frame(folder: Path) -> pl.LazyFrame:
    """Return the whole log for a scan: an exchange's fields as typed columns, and ``row`` and ``pruned``.

    ``params``, ``extra``, ``messages`` and ``sketch`` are JSON text. Segments are scanned lazily, the
    journals are read now. Collect it before the next pruning takes a segment's file away.
    """
    import polars as pl  # noqa: PLC0415 - polars and pyarrow are loaded only by those who scan

    from spiritsafe.record.segment import column_kinds, columns  # noqa: PLC0415

    kinds = {
        "string": pl.String(),
        "int64": pl.Int64(),
        "float64": pl.Float64(),
        "time": pl.Datetime("us", "UTC"),
        "binary": pl.Binary(),
        "bool": pl.Boolean(),
    }
    schema = {name: kinds[kind] for name, kind in column_kinds().items()}
    manifests = [manifest.peek(path) for _, path in sorted(layout(folder).manifests.items())]
    cursor = Cursor(folder, manifests[-1].stop if manifests else 0)
    entries: list[Entry] = []
    try:
        while batch := cursor.batch():
            entries += [Entry(number, row, b"") for number, row in batch]
    finally:
        cursor.close()
    frames = [pl.DataFrame(columns(entries), schema=schema).lazy()]
    if manifests:
        frames.insert(0, pl.scan_parquet([folder / made.file.name for made in manifests]))
    return pl.concat(frames).drop("salt", "commitment", "mark")


class Cursor:
    """A place in a log. ``batch`` gives the rows from there on, as far as they can be read by now."""

    def __init__(self, folder: Path, start: int = 0) -> None:
        self._folder = folder
        self._row = start
        self._journal: Reader | None = None
        self._segment: Iterator[Batch] | None = None

    def batch(self) -> Batch:
        """Return some of the next rows, none if there is none yet."""
        misses = 0
        while True:
            try:
                rows = self._next()
            except FileNotFoundError as error:  # rolled or pruned since it was listed: look where it went
                self.close()
                misses += 1
                if misses > _TRIES:
                    raise BrokenRecord(
                        "a file of the record is missing", remedy=signed.REMEDY, where=str(error.filename)
                    ) from error
                time.sleep(_PAUSE)
                continue
            if rows is not None:
                return rows

    def check(self) -> None:
        """Raise BrokenRecord if what stands where reading stopped is not what a live writer or a crash leaves."""
        for _ in range(_TRIES):
            problem = self._problem()
            if problem is None:
                return
            time.sleep(_PAUSE)
        if problem is not None:
            raise problem

    def close(self) -> None:
        """Let go of the files; the place is kept."""
        if self._journal is not None:
            self._journal.close()
        self._journal = self._segment = None

    def _next(self) -> Batch | None:
        """Return the next rows, an empty list where there is none yet, None to be called again."""
        if self._segment is not None:
            rows = next(self._segment, None)
            if rows is None:
                self._segment = None
            return self._wanted(rows or [])
        if self._journal is None:
            return None if self._open() else []
        group = next(self._journal.groups(), None)
        if group is not None:
            return self._wanted([(entry.number, entry.row) for entry in group])
        if self._next_begins():
            self.close()
            return None
        return []

    def _wanted(self, rows: Batch) -> Batch | None:
        wanted = [(number, row) for number, row in rows if number >= self._row]
        if wanted:
            self._row = wanted[-1][0] + 1
        return wanted or None

    def _open(self) -> bool:
        """Open the segment or journal that the next row is in; False where there is none."""
        found = layout(self._folder)
        first = max((first for first in found.manifests if first <= self._row), default=None)
        if first is not None:
            made = manifest.peek(found.manifests[first])
            if self._row < made.stop:
                self._segment = _segment_rows(self._folder, made, self._row)
                return True
        first = max((first for first in found.journals if first <= self._row), default=None)
        if first is not None:
            self._journal = Reader(found.journals[first])
            return True
        if found.journals or max(found.manifests, default=0) > self._row:
            raise BrokenRecord(f"row {self._row} is missing", remedy=signed.REMEDY, where=str(self._folder))
        return False

    def _problem(self) -> BrokenRecord | None:
        journal = self._journal
        if journal is None or self._next_begins():
            return None
        if next(journal.groups(), None) is not None:
            self.close()  # the writer was still at it; these rows come with the next batch
            return None
        bad = journal.bad()
        later = min((first for first in self._firsts() if first > journal.row), default=None)
        if bad is not None and (later is not None or not bad.torn):
            return BrokenRecord(bad.reason, remedy=signed.REMEDY, where=f"{journal.path.name}, row {bad.row}")
        if later is not None:
            return BrokenRecord(
                f"rows {journal.row} to {later - 1} are missing", remedy=signed.REMEDY, where=str(self._folder)
            )
        return None

    def _next_begins(self) -> bool:
        return self._journal is not None and self._journal.row in self._firsts() - {self._journal.header.first}

    def _firsts(self) -> set[int]:
        found = layout(self._folder)
        return {*found.manifests, *found.journals}


def _segment_rows(folder: Path, made: Manifest, start: int) -> Iterator[Batch]:
    from spiritsafe.record.segment import read_tables, rows  # noqa: PLC0415 - pyarrow is loaded only for segments

    for table in read_tables(folder / made.file.name, start):
        yield [(stored.number, stored.row) for stored in rows(table)]


def _exchanges(batch: Batch) -> Iterator[tuple[int, Exchange]]:
    for number, row in batch:
        try:
            yield number, open_row(row)
        except InputError as error:
            raise InputError(error.message, remedy=error.remedy, where=f"row {number}") from error
