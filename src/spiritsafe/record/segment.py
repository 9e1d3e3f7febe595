"""Segments: rows in Parquet, one typed column a field, from which each row's exact bytes come back."""

from __future__ import annotations

import contextlib
import functools
import os
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spiritsafe.errors import BrokenRecord
from spiritsafe.record.canonical import Envelope, Row, StoredContent
from spiritsafe.record.exchange import CONTENT_FIELDS, Exchange
from spiritsafe.record.journal import Entry
from spiritsafe.record.manifest import SEGMENT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path


ROW_GROUP = 4096
COMPRESSION_LEVEL = 1
MARK_BYTES = 8

_JSON_FIELDS = ("params", "extra", "messages", "sketch")
_ENVELOPE_FIELDS = tuple(name for name in Exchange.__struct_fields__ if name not in CONTENT_FIELDS)
_KINDS = {str: "string", int: "int64", float: "float64", datetime: "time"}

_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(Exchange)}

_encoder = msgspec.json.Encoder(order="sorted")
_envelope_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Envelope)
_content_decoder = msgspec.json.Decoder(StoredContent)
_NO_CONTENT = StoredContent()


@functools.cache
def column_kinds() -> dict[str, str]:
    """Return the columns in order with their kinds (``string, int64, float64, time, binary, bool``).

    Beside an exchange's fields: ``row`` (its number), ``salt``, ``commitment``, ``mark`` (the first 8
    bytes of the link after the row) and ``pruned``. JSON text stands in ``params``, ``extra``,
    ``messages`` and ``sketch``; a field that was left out is null.
    """
    kinds = {"row": "int64"}
    for field in msgspec.structs.fields(Exchange):
        kinds[field.name] = "string" if field.name in _JSON_FIELDS else _kind(field.type)
    return {**kinds, "salt": "binary", "commitment": "binary", "mark": "binary", "pruned": "bool"}


class Stored(NamedTuple):
    """A row read from a segment, with the 8 bytes of link that were stored beside it."""

    number: int
    row: Row
    mark: bytes


def columns(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """Spread rows over columns."""
    stored = [entry.row for entry in entries]
    envelopes = [_envelope_decoder.decode(row.envelope) for row in stored]
    contents = [_NO_CONTENT if row.content is None else _content_decoder.decode(row.content) for row in stored]
    out: dict[str, list[Any]] = {}
    for name in column_kinds():
        holders = contents if name in CONTENT_FIELDS else envelopes
        if name in _JSON_FIELDS:
            out[name] = [bytes(raw).decode() or None for raw in map(attrgetter(name), holders)]
        elif name in Exchange.__struct_fields__:
            out[name] = list(map(attrgetter(name), holders))
    out["row"] = [entry.number for entry in entries]
    out["salt"] = [row.salt for row in stored]
    out["commitment"] = [row.commitment for row in stored]
    out["mark"] = [entry.link[:MARK_BYTES] for entry in entries]
    out["pruned"] = [row.content is None for row in stored]
    return out


def rows(table: dict[str, list[Any]]) -> Iterator[Stored]:
    """Bring rows back from columns, byte for byte as they were."""
    envelope_columns = [table[name] for name in _ENVELOPE_FIELDS]
    content_columns = [table[name] for name in CONTENT_FIELDS]
    for at, number in enumerate(table["row"]):
        content = None if table["pruned"][at] else _rebuild(StoredContent, CONTENT_FIELDS, content_columns, at)
        row = Row(
            _rebuild(Envelope, _ENVELOPE_FIELDS, envelope_columns, at),
            table["commitment"][at],
            content,
            table["salt"][at],
        )
        yield Stored(number, row, table["mark"][at])


class Writer:
    """Writes a segment aside from its final name; ``close`` returns once its bytes are durable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._schema = _arrow_schema()
        self._waiting: list[pa.RecordBatch] = []
        self._writer = pq.ParquetWriter(
            path, self._schema, compression="zstd", compression_level=COMPRESSION_LEVEL, write_page_checksum=True
        )

    def add(self, table: dict[str, list[Any]]) -> None:
        """Append rows given as columns; they are gathered into row groups of at least 4,096."""
        self._waiting.append(pa.RecordBatch.from_pydict(table, schema=self._schema))
        if sum(batch.num_rows for batch in self._waiting) >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Finish the file and sync it."""
        self._flush()
        self._writer.close()
        fd = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def abandon(self) -> None:
        """Give up: close and remove the file."""
        with contextlib.suppress(OSError, pa.ArrowException):
            self._writer.close()
        self.path.unlink(missing_ok=True)

    def _flush(self) -> None:
        # Arrow lets other threads run while it encodes and compresses; it doesn't while it reads Python values.
        self._writer.write_table(pa.Table.from_batches(self._waiting, schema=self._schema))
        self._waiting = []


def read_tables(path: Path, start: int = 0) -> Iterator[dict[str, list[Any]]]:
    """Yield a segment's row groups as columns, from the one that holds row number ``start`` on.

    Raises BrokenRecord for a file that isn't Parquet or lacks a column, FileNotFoundError for none.
    """
    row = None
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                column = file.metadata.row_group(group).column(0)
                if column.statistics is not None and column.statistics.max < start:
                    continue
                row = column.statistics.min if column.statistics is not None else None
                table = file.read_row_group(group)
                yield {name: _values(table.column(name)) for name in column_kinds()}
    except (pa.ArrowException, KeyError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        place = path.name if row is None else f"{path.name}, row {row}"
        raise BrokenRecord(f"the segment can't be read: {error}", remedy=_REMEDY, where=place) from error


def tables_of(path: Path, accounts: Collection[str]) -> Iterator[tuple[int, list[Stored]]]:
    """Yield a segment's row groups, the last first: how many rows each has, and those of ``accounts``.

    Raises as ``read_tables`` does.
    """
    wanted = pa.array(sorted(accounts), pa.string())
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in reversed(range(file.num_row_groups)):
                size = file.metadata.row_group(group).num_rows
                names = file.read_row_group(group, columns=["account_id"]).column(0)
                here = pc.indices_nonzero(pc.is_in(names, value_set=wanted))
                if not len(here):
                    yield size, []
                    continue
                table = file.read_row_group(group).take(here)
                yield size, list(rows({name: _values(table.column(name)) for name in column_kinds()}))
    except (pa.ArrowException, KeyError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise BrokenRecord(f"the segment can't be read: {error}", remedy=_REMEDY, where=path.name) from error


_REMEDY = "Run `spiritsafe verify` for the whole finding; restore the segment from a backup"


def _kind(annotation: Any) -> str:
    for plain, kind in _KINDS.items():
        if annotation is plain or plain in getattr(annotation, "__args__", ()):
            return kind
    for inner in getattr(annotation, "__args__", ()):
        if not isinstance(inner, str) and inner is not type(None):
            return _kind(inner)
    return "string"  # a Literal of strings


@functools.cache
def _arrow_schema() -> pa.Schema:
    kinds = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "time": pa.timestamp("us", "UTC"),
        "binary": pa.binary(),
        "bool": pa.bool_(),
    }
    fields = [pa.field(name, kinds[kind]) for name, kind in column_kinds().items()]
    return pa.schema(fields, metadata={"format": SEGMENT})


def _values(column: Any) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        micros = column.cast(pa.int64()).to_pylist()
        return [None if value is None else _EPOCH + timedelta(microseconds=value) for value in micros]
    found: list[Any] = column.to_pylist()
    return found


def _rebuild(kind: Any, names: Sequence[str], table: Sequence[list[Any]], at: int) -> bytes:
    given = {}
    for name, column in zip(names, table, strict=True):
        value = column[at]
        if value is not None and value != _DEFAULTS[name]:
            given[name] = msgspec.Raw(value.encode()) if name in _JSON_FIELDS else value
    return _encoder.encode(kind(**given))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
