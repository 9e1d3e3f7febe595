"""Logs to scan: Parquet files of exchanges with any subset of the columns, or the sealed record of a data folder."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from spiritsafe.detect.features import SHARED, Batch, from_exchanges, from_frame
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import VERSION
from spiritsafe.record.layout import layout
from spiritsafe.record.log import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spiritsafe.record.exchange import Exchange
    from spiritsafe.record.sketch import Part
    from spiritsafe.store.models import Grant

ASKED = ("prompt", "messages")
READ = ("account_id", "time", "model", *ASKED, *(name for name, _ in SHARED))
MOST_PROMPTS = 320
"""How many different texts of one account a scan looks at, picked by their hash: enough for a full block of prompts."""

_ROWS = 200_000
_ALL = 2**64 - 1


@dataclass(frozen=True, eq=False)
class Log:
    """Files (Parquet) or folders (sealed records) that were checked and can be read. ``rows`` is how many there are."""

    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    rows: int

    def batches(self, parts: frozenset[Part], grants: Sequence[Grant], *, sample: bool) -> Iterator[tuple[int, Batch]]:
        """Batches without what a grant covers, each with how many rows were read for it.

        ``sample`` leaves out texts of accounts that sent very many different ones.
        """
        rates = _rates(self.files) if sample and self.files else None
        for path in self.files:
            for rows, frame in _frames(path):
                yield rows, from_frame(_without(_thin(frame, rates), grants), parts)
        holders = _by_account(grants)
        for folder in self.folders:
            for exchanges in _chunks(folder):
                left = [
                    exchange
                    for exchange in exchanges
                    if exchange.grant_id is None
                    and not _permits(holders.get(exchange.account_id, ()), exchange.model, exchange.time)
                ]
                yield len(exchanges), from_exchanges(left, parts)

    def accounts(self) -> list[str]:
        """All accounts of the log, sorted, granted or not."""
        names: set[str] = set()
        for path in self.files:
            column = pl.scan_parquet(path).select(pl.col("account_id").cast(pl.String)).unique()
            names.update(name for name in column.collect(engine="streaming").to_series() if name is not None)
        for folder in self.folders:
            names.update(exchange.account_id for _, exchange in read(folder))
        return sorted(names)


def open_log(paths: Sequence[str]) -> Log:
    """Check what is to be read: Parquet files, patterns, folders of Parquet files, data folders with a sealed record.

    Raises InputError for what is none of these, for a file that is newer or damaged, or without the needed columns.
    """
    files: list[Path] = []
    folders: list[Path] = []
    for given in paths:
        found = [Path(name) for name in sorted(glob.glob(given))] or [Path(given)]
        for path in found:
            record = _record_in(path)
            if record is not None:
                folders.append(record)
            elif path.is_dir():
                files += sorted(path.glob("**/*.parquet")) or _missing(path, "the folder holds no Parquet file")
            else:
                files += [path] if path.is_file() else _missing(path, "there is no such file")
    rows = sum(_check(path) for path in files)
    for folder in folders:
        rows += sum(1 for _ in read(folder))
    return Log(tuple(files), tuple(folders), rows)


def _missing(path: Path, what: str) -> list[Path]:
    raise InputError(what, remedy="Give Parquet files, a pattern for them, or a data folder.", where=str(path))


def _record_in(path: Path) -> Path | None:
    """The folder of a sealed record, at the path or in the data folder that it is."""
    for folder in (path / "record", path):
        if folder.is_dir():
            found = layout(folder)
            if found.manifests or found.journals:
                return folder
    return None


def _check(path: Path) -> int:
    """How many rows a Parquet file has, once it is known to be readable."""
    try:
        with pq.ParquetFile(path) as held:
            schema, rows, metadata = held.schema_arrow, held.metadata.num_rows, held.schema_arrow.metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"not a Parquet file: {str(error).splitlines()[0]}",
            remedy="Give a log in Parquet; other forms are read by spiritsafe ingest.",
            where=str(path),
        ) from error
    version = metadata.get(b"spiritsafe.version", b"1").decode("ascii", "replace")
    if not version.isdigit() or int(version) > VERSION:
        raise InputError(
            f"the log has version {version}, this program knows {VERSION}",
            remedy="Read it with a newer spiritsafe.",
            where=str(path),
        )
    names = schema.names
    missing = [name for name in ("account_id",) if name not in names]
    missing += ["prompt (or messages)"] if not any(name in names for name in ASKED) else []
    if missing:
        raise InputError(
            f"the log lacks {', '.join(missing)}; it has {', '.join(names) or 'no columns'}",
            remedy="Rename or add the columns; all others may be missing.",
            where=str(path),
        )
    return int(rows)


def _frames(path: Path) -> Iterator[tuple[int, pl.DataFrame]]:
    """Rows of a file with the columns of ``READ`` that it has, in one form whatever their types were."""
    with pq.ParquetFile(path) as held:
        wanted = [name for name in READ if name in held.schema_arrow.names]
        for batch in held.iter_batches(batch_size=_ROWS, columns=wanted):
            frame = pl.from_arrow(pa.Table.from_batches([batch]))
            assert isinstance(frame, pl.DataFrame)
            yield batch.num_rows, _plain(frame)


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    frame = frame.with_columns(pl.col("account_id").cast(pl.String)).drop_nulls("account_id")
    if "messages" in frame.columns:
        told = frame.get_column("messages")
        asked = pl.Series("asked", [last_user(turns) for turns in told.to_list()], dtype=pl.String)
        prompt = frame.get_column("prompt") if "prompt" in frame.columns else asked
        frame = frame.with_columns(prompt=prompt.fill_null(asked)).drop("messages")
    if "time" in frame.columns:
        frame = frame.with_columns(_utc(frame.get_column("time")))
    return frame


def _utc(time: pl.Series) -> pl.Series:
    """Times as microseconds in UTC; text is read as ISO 8601, and what can't be read is null."""
    if time.dtype == pl.String:
        time = time.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    if isinstance(time.dtype, pl.Datetime) and time.dtype.time_zone is not None:
        time = time.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return (
        time.cast(pl.Datetime("us"), strict=False)
        if time.dtype.is_temporal()
        else pl.Series("time", [None] * len(time))
    )


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


def _rates(files: Sequence[Path]) -> pl.DataFrame | None:
    """For each account, up to which hash a text is looked at, so that about ``MOST_PROMPTS`` different ones are."""
    frames = [pl.scan_parquet(path) for path in files if "prompt" in pq.read_schema(path).names]
    if not frames:
        return None
    parts = [frame.select(pl.col("account_id").cast(pl.String), "prompt") for frame in frames]
    counted = pl.concat(parts).group_by("account_id").agg(n=pl.col("prompt").approx_n_unique())
    most = (MOST_PROMPTS / pl.col("n").clip(1)).clip(0.0, 1.0) * float(_ALL)
    return counted.select("account_id", most=most).collect(engine="streaming")


def _thin(frame: pl.DataFrame, rates: pl.DataFrame | None) -> pl.DataFrame:
    if rates is None:
        return frame
    seen = pl.col("prompt").hash(seed=1).cast(pl.Float64) <= pl.col("most").fill_null(float(_ALL))
    return (
        frame.join(rates, on="account_id", how="left", maintain_order="left")
        .with_columns(prompt=pl.when(seen).then("prompt"))
        .drop("most")
    )


def _without(frame: pl.DataFrame, grants: Sequence[Grant]) -> pl.DataFrame:
    """Leave out the rows that a grant covers: its account, its models, before it ends."""
    if not grants:
        return frame
    holders = _by_account(grants)
    columns = [name for name in ("account_id", "model", "time") if name in frame.columns]
    touched = frame.select(columns).with_row_index("row").filter(pl.col("account_id").is_in(list(holders)))
    covered = [
        row["row"]
        for row in touched.iter_rows(named=True)
        if _permits(holders[row["account_id"]], row.get("model"), row.get("time"))
    ]
    return frame.with_row_index("row").filter(~pl.col("row").is_in(covered)).drop("row")


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


def _chunks(folder: Path) -> Iterator[list[Exchange]]:
    rows = read(folder)
    while chunk := [exchange for _, exchange in islice(rows, 20_000)]:
        yield chunk
