"""Reads one partition of a log: rows in one form whatever their columns were, without what a grant covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from spiritsafe.detect.features import SHARED
from spiritsafe.errors import InputError
from spiritsafe.record.log import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spiritsafe.detect.log import Partition
    from spiritsafe.record.exchange import Exchange
    from spiritsafe.store.models import Grant

TEXT = ("account_id", "model", "prompt", *(name for name, _ in SHARED), "exchange_id")
"""Columns that are text, or are read as if they were."""

READ = (*TEXT, "time", "messages")

_FRAME, _LIST = 200_000, 20_000


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """What was odd about the rows that were read, each counted."""

    nameless: int = 0
    promptless: int = 0
    timeless: int = 0
    twice: int = 0
    granted: int = 0

    def __add__(self, other: Notes) -> Notes:
        return Notes(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})

    def told(self) -> tuple[str, ...]:
        """What a reader should know, in words; what every log has is left out."""
        said = (
            (self.nameless, "exchanges name no account and were left out"),
            (self.timeless, "exchanges have no time that can be read"),
            (self.promptless, "exchanges hold no prompt"),
            (self.twice, "exchanges came twice and were counted once"),
        )
        return tuple(f"{count:,} {words}" for count, words in said if count)


@dataclass(frozen=True, eq=False)
class Frame:
    """Rows of a Parquet file: of ``rows`` that were read those that are looked at, and all ``accounts`` among them.

    ``granted`` are those under a grant: nobody is judged by them, but they show what others may be asking from.
    """

    rows: int
    kept: pl.DataFrame
    granted: pl.DataFrame
    accounts: frozenset[str]
    notes: Notes


@dataclass(frozen=True, eq=False)
class Chunk:
    """Exchanges of a sealed record, likewise."""

    rows: int
    kept: list[Exchange]
    granted: list[Exchange]
    accounts: frozenset[str]
    notes: Notes


def frames(partition: Partition, grants: Sequence[Grant]) -> Iterator[Frame]:
    """The rows of a Parquet file's partition. Raises InputError where the file is damaged."""
    held = _by_account(grants)
    try:
        with pq.ParquetFile(partition.path) as file:
            wanted = [name for name in READ if name in file.schema_arrow.names]
            for batch in file.iter_batches(_FRAME, row_groups=list(partition.groups or ()), columns=wanted):
                yield _frame(pl.DataFrame(pa.Table.from_batches([batch])), held)
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"the file is damaged, or holds what can't be read: {str(error).splitlines()[0]}",
            remedy="Write it again, or leave it out.",
            where=str(partition.path),
        ) from error


def exchanges(partition: Partition, grants: Sequence[Grant]) -> Iterator[Chunk]:
    """The exchanges of a sealed record's partition."""
    held = _by_account(grants)
    every = (exchange for _, exchange in islice(read(partition.path, start=partition.first), partition.rows))
    while chunk := list(islice(every, _LIST)):
        kept: list[Exchange] = []
        granted: list[Exchange] = []
        for exchange in chunk:
            permits = _permits(held.get(exchange.account_id, ()), exchange.model, exchange.time)
            (granted if permits or exchange.grant_id is not None else kept).append(exchange)
        accounts = frozenset(exchange.account_id for exchange in chunk)
        yield Chunk(len(chunk), kept, granted, accounts, Notes(granted=len(granted)))


def last_user(messages: Any) -> str | None:
    """The text of the last user message; ``messages`` is a list of turns, or JSON of one."""
    if isinstance(messages, str):
        try:
            messages = msgspec.json.decode(messages)
        except msgspec.DecodeError:
            return None
    if not isinstance(messages, list):
        return None
    turns = [turn for turn in messages if isinstance(turn, dict)]
    asked = [turn.get("content") for turn in turns if turn.get("role") == "user"]
    if not asked:
        return None
    if isinstance(asked[-1], list):
        return "\n".join(p["text"] for p in asked[-1] if isinstance(p, dict) and isinstance(p.get("text"), str))
    return asked[-1] if isinstance(asked[-1], str) else None


def _frame(read: pl.DataFrame, held: dict[str, list[Grant]]) -> Frame:
    plain = _plain(read)
    kept, granted = _apart(plain, held)
    notes = Notes(
        nameless=read.height - plain.height,
        promptless=plain.get_column("prompt").null_count(),
        timeless=plain.get_column("time").null_count() if "time" in read.columns else 0,
        granted=granted.height,
    )
    return Frame(read.height, kept, granted, frozenset(plain.get_column("account_id").unique().to_list()), notes)


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """All columns of ``READ``, nulls where the log has none; ``messages`` are read into ``prompt``."""
    texts = [pl.col(name).cast(pl.String, strict=False) for name in TEXT if name in frame.columns]
    time = _utc(frame.get_column("time")) if "time" in frame.columns else None
    told = frame.get_column("messages") if "messages" in frame.columns else None
    frame = frame.select(texts).with_columns(
        pl.lit(None, dtype=pl.String).alias(name) for name in TEXT if name not in frame.columns
    )
    if told is not None:
        asked = pl.Series("asked", [last_user(turns) for turns in told.to_list()], dtype=pl.String)
        frame = frame.with_columns(prompt=frame.get_column("prompt").fill_null(asked))
    none = pl.lit(None, dtype=pl.Datetime("us"))
    return frame.with_columns(time=none if time is None else time).select(*TEXT, "time").drop_nulls("account_id")


def _utc(time: pl.Series) -> pl.Series:
    """Times as microseconds in UTC; text is read as ISO 8601, and what can't be read is null."""
    if time.dtype == pl.String:
        time = time.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    if isinstance(time.dtype, pl.Datetime) and time.dtype.time_zone is not None:
        time = time.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if time.dtype.is_temporal():
        return time.cast(pl.Datetime("us"), strict=False)
    return pl.Series("time", np.full(len(time), np.datetime64("NaT"), dtype="datetime64[us]"))


def _apart(frame: pl.DataFrame, held: dict[str, list[Grant]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that no grant covers, and those that one does: its account, its models, before it ends."""
    if not held:
        return frame, frame.clear()
    columns = ["account_id", "model", "time"]
    touched = frame.select(columns).with_row_index("row").filter(pl.col("account_id").is_in(list(held)))
    covered = [row for row, name, model, time in touched.iter_rows() if _permits(held[name], model, time)]
    numbered, under = frame.with_row_index("row"), pl.col("row").is_in(covered)
    return numbered.filter(~under).drop("row"), numbered.filter(under).drop("row")


def _by_account(grants: Sequence[Grant]) -> dict[str, list[Grant]]:
    held: dict[str, list[Grant]] = {}
    for grant in grants:
        held.setdefault(grant.account_id, []).append(grant)
    return held


def _permits(grants: Sequence[Grant], model: str | None, time: datetime | None) -> bool:
    """Whether one of an account's grants covers an exchange; one that names no model or time is read in its favour."""
    for grant in grants:
        now = grant.created if time is None else time.replace(tzinfo=UTC)
        if grant.covers(model, now) if model else grant.live(now):
            return True
    return False
