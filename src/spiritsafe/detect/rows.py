"""Reads one partition of a log: rows in one form whatever their columns were, without what a grant covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from spiritsafe.detect.calls import MOST, PARAMS, params_of
from spiritsafe.detect.features import SHARED
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import prompt_text
from spiritsafe.record.log import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spiritsafe.detect.log import Partition
    from spiritsafe.record.exchange import Exchange
    from spiritsafe.store.models import Grant

TEXT = ("account_id", "model", "prompt", *(name for name, _ in SHARED), "exchange_id")
"""Columns that are text, or are read as if they were."""

NAMED_TOO = {"top_logprobs": "logprobs", "max_completion_tokens": "max_tokens", "max_output_tokens": "max_tokens"}
"""Other names of the columns of ``Calls.params``; the larger value counts."""

READ = (*TEXT, "time", "messages", *PARAMS, *NAMED_TOO)

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
    end = partition.first + partition.rows
    try:
        file = pl.scan_parquet(partition.path)
        wanted = [name for name in READ if name in file.collect_schema().names()]
        for at in range(partition.first, end, _FRAME):
            yield _frame(file.select(wanted).slice(at, min(_FRAME, end - at)).collect(), held)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _damaged(partition, error) from error


def of_accounts(partition: Partition, accounts: Sequence[str], grants: Sequence[Grant]) -> pl.DataFrame:
    """The rows of a Parquet file's partition that are of some accounts, without what a grant covers, in their order."""
    try:
        named = pl.col("account_id").cast(pl.String, strict=False)
        file = pl.scan_parquet(partition.path).slice(partition.first, partition.rows)
        wanted = [name for name in READ if name in file.collect_schema().names()]
        found = file.select(wanted).filter(named.is_in(list(accounts))).collect(engine="streaming")
        return _apart(_plain(found), _by_account(grants))[0]
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _damaged(partition, error) from error


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


def as_frame(exchanges: Sequence[Exchange]) -> pl.DataFrame:
    """Exchanges in the form in which a Parquet file's rows are read; of one that kept its sketch alone, no prompt."""
    texts = {name: [getattr(one, name) for one in exchanges] for name in TEXT if name != "prompt"}
    texts["prompt"] = [prompt_text(one) for one in exchanges]
    numbers = np.array([params_of(one) for one in exchanges], dtype=np.float32).reshape(len(exchanges), len(PARAMS))
    made = {
        **{name: pl.Series(values, dtype=pl.String) for name, values in texts.items()},
        "time": pl.Series([one.time for one in exchanges], dtype=pl.Datetime("us", "UTC")),
        **{name: pl.Series(numbers[:, place]).fill_nan(None) for place, name in enumerate(PARAMS)},
    }
    return _plain(pl.DataFrame(made))


def permitted(exchange: Exchange, grants: Sequence[Grant]) -> bool:
    """Whether an exchange was made under a grant."""
    held = [grant for grant in grants if grant.account_id == exchange.account_id]
    return exchange.grant_id is not None or _permits(held, exchange.model, exchange.time)


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
    numbers = _numbers(frame)
    frame = frame.select(texts).with_columns(
        pl.lit(None, dtype=pl.String).alias(name) for name in TEXT if name not in frame.columns
    )
    if told is not None:
        asked = pl.Series("asked", [last_user(turns) for turns in told.to_list()], dtype=pl.String)
        frame = frame.with_columns(prompt=frame.get_column("prompt").fill_null(asked))
    none = pl.lit(None, dtype=pl.Datetime("us"))
    frame = frame.with_columns(*numbers, time=none if time is None else time)
    return frame.select(*TEXT, "time", *PARAMS).drop_nulls("account_id")


def _numbers(frame: pl.DataFrame) -> list[pl.Series]:
    """The columns of ``Calls.params`` as float32: what is no number from 0 to a billion is null."""
    found: dict[str, pl.Series] = {name: pl.Series(name, [None] * frame.height, dtype=pl.Float32) for name in PARAMS}
    for name in frame.columns:
        column = frame.get_column(name)
        if (said := NAMED_TOO.get(name, name)) not in found or not (
            column.dtype.is_numeric() or column.dtype == pl.Boolean
        ):
            continue
        number = column.cast(pl.Float32)
        sound = number.is_between(0.0, MOST).fill_null(False)
        number = pl.select(pl.when(sound).then(number).alias(said)).to_series()
        found[said] = pl.select(pl.max_horizontal(found[said], number).alias(said)).to_series()
    return list(found.values())


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


def _damaged(partition: Partition, error: Exception) -> InputError:
    return InputError(
        f"the file is damaged, or holds what can't be read: {str(error).splitlines()[0]}",
        remedy="Write it again, or leave it out.",
        where=str(partition.path),
    )


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
