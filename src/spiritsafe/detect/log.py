"""Logs to scan: Parquet files of exchanges with any subset of the columns, or the sealed record of a data folder."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from spiritsafe.detect import rows as reading
from spiritsafe.detect.features import from_exchanges, from_frame
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import VERSION
from spiritsafe.record.layout import layout
from spiritsafe.record.log import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spiritsafe.detect.features import Batch
    from spiritsafe.record.sketch import Part
    from spiritsafe.store.models import Grant

ASKED = ("prompt", "messages")
PARTITION = 2_000_000
"""Rows of a partition, about: row groups are never cut."""


@dataclass(frozen=True)
class Partition:
    """Rows of one log that are read together. ``groups`` are row groups of a Parquet file, None for a sealed record,
    whose rows ``first`` to ``first + rows`` these are.
    """

    path: Path
    first: int
    rows: int
    groups: tuple[int, ...] | None


@dataclass(frozen=True)
class Source:
    """One Parquet file or one sealed record, whole: its partitions in order."""

    path: Path
    sealed: bool
    partitions: tuple[Partition, ...]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(partition.rows for partition in self.partitions)


@dataclass(frozen=True)
class Log:
    """Files and sealed records that were checked and can be read, in the order in which they are read."""

    sources: tuple[Source, ...]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(source.rows for source in self.sources)

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """What is read together, in order."""
        return tuple(partition for source in self.sources for partition in source.partitions)

    def batches(self, parts: frozenset[Part], grants: Sequence[Grant]) -> Iterator[tuple[int, Batch]]:
        """Batches without what a grant covers, each with how many rows were read for it."""
        for partition in self.partitions:
            if partition.groups is None:
                for held in reading.exchanges(partition, grants):
                    yield held.rows, from_exchanges(held.kept, parts)
            else:
                for frame in reading.frames(partition, grants):
                    yield frame.rows, from_frame(frame.kept, parts)


def open_log(paths: Sequence[str]) -> Log:
    """Check what is to be read: Parquet files, patterns, folders of Parquet files, data folders with a sealed record.

    Raises InputError for what is none of these, for a file that is newer or damaged, or without the needed columns.
    """
    sources: list[Source] = []
    for given in paths:
        found = [Path(name) for name in sorted(glob.glob(given))] or [Path(given)]
        for path in found:
            record = _record_in(path)
            if record is not None:
                sources.append(_sealed(record))
            elif path.is_dir():
                sources += [_file(file) for file in sorted(path.glob("**/*.parquet"))] or _missing(
                    path, "the folder holds no Parquet file"
                )
            else:
                sources += [_file(path)] if path.is_file() else _missing(path, "there is no such file")
    return Log(tuple(sources))


def _missing(path: Path, what: str) -> list[Source]:
    raise InputError(what, remedy="Give Parquet files, a pattern for them, or a data folder.", where=str(path))


def _record_in(path: Path) -> Path | None:
    """The folder of a sealed record, at the path or in the data folder that it is."""
    for folder in (path / "record", path):
        if folder.is_dir():
            found = layout(folder)
            if found.manifests or found.journals:
                return folder
    return None


def _sealed(folder: Path) -> Source:
    rows = sum(1 for _ in read(folder))
    starts = range(0, rows, PARTITION)
    return Source(folder, True, tuple(Partition(folder, at, min(PARTITION, rows - at), None) for at in starts))


def _file(path: Path) -> Source:
    """A Parquet file, once it is known to be readable, its row groups gathered into partitions."""
    try:
        with pq.ParquetFile(path) as held:
            schema, metadata = held.schema_arrow, held.metadata
            sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"not a Parquet file, or one that was cut off: {str(error).splitlines()[0]}",
            remedy="Write it again, or give another; logs in other forms are read by spiritsafe ingest.",
            where=str(path),
        ) from error
    _check(path, schema)
    partitions: list[Partition] = []
    first, groups = 0, list[int]()
    for group in range(len(sizes)):
        groups.append(group)
        count = sum(sizes[g] for g in groups)
        if group + 1 == len(sizes) or count + sizes[group + 1] > PARTITION:
            partitions.append(Partition(path, first, count, tuple(groups)))
            first, groups = first + count, []
    return Source(path, False, tuple(partitions))


def _check(path: Path, schema: pa.Schema) -> None:
    """Raise InputError for a log of a newer version, without the needed columns, or with columns that can't be read."""
    version = (schema.metadata or {}).get(b"spiritsafe.version", b"1").decode("ascii", "replace")
    if not version.isdigit() or int(version) > VERSION:
        raise InputError(
            f"the log has version {version}, this program knows {VERSION}",
            remedy="Read it with a newer spiritsafe.",
            where=str(path),
        )
    missing = [name for name in ("account_id",) if name not in schema.names]
    missing += ["prompt (or messages)"] if not any(name in schema.names for name in ASKED) else []
    if missing:
        raise InputError(
            f"the log lacks {', '.join(missing)}; it has {', '.join(schema.names) or 'no columns'}",
            remedy="Rename or add the columns; all others may be missing.",
            where=str(path),
        )
    odd = [
        f"{name} ({schema.field(name).type})"
        for name in reading.TEXT
        if name in schema.names and pa.types.is_nested(schema.field(name).type)
    ]
    if odd:
        raise InputError(
            f"these columns should hold text or numbers: {', '.join(odd)}",
            remedy="Write one plain value a row, or leave the column out.",
            where=str(path),
        )
