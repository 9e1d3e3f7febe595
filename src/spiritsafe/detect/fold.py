"""The steps of a scan, each of many tasks: partitions are split by account and by text, each text is cut and measured
once (``texts``), and each account's shares are learnt.

What is known of an account depends on its own exchanges alone, in their order. So accounts are dealt into buckets, and
each bucket folds the partitions' shares, one after the other, into a watch of its accounts: a partial result that is
bounded in every account, needs no other bucket, and goes on where yesterday's ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa

from spiritsafe.detect import rows as reading
from spiritsafe.detect.features import from_frame
from spiritsafe.detect.online import Watch
from spiritsafe.detect.rows import Notes
from spiritsafe.detect.texts import Table, Texts
from spiritsafe.record.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from spiritsafe.detect.log import Partition
    from spiritsafe.detect.reference import Reference
    from spiritsafe.detect.types import HashArray
    from spiritsafe.store.models import Grant

MOST_PROMPTS = 320
"""An account's first prompts, all of which are looked at; of its c-th exchange from there on, the prompt is looked at
if its hash is among the lowest ``MOST_PROMPTS`` / c, which makes some 320 (1 + ln(n / 320)) of n different ones.
"""

RECENT = 500_000
"""How far back in a bucket an exchange that comes twice is recognised."""

_SLICE = 250_000
_ALL = float(2**64 - 1)


@dataclass(frozen=True)
class Split:
    """Cut one partition into shares, files in ``folder``. ``seed`` is a secret of the scan's, so that nobody can choose
    two texts that are taken for one.
    """

    number: int
    partition: Partition
    grants: tuple[Grant, ...]
    buckets: int
    text_buckets: int
    folder: Path
    seed: int


@dataclass(frozen=True)
class Parcel:
    """The files made, by bucket: ``shares`` of accounts, and their different ``texts``. None for a bucket without a
    row, and for all texts of a sealed record, which keeps them with its exchanges.
    """

    rows: int
    accounts: frozenset[str]
    notes: Notes
    shares: tuple[Path | None, ...]
    texts: tuple[Path | None, ...]


@dataclass(frozen=True)
class Fold:
    """Learn shares in order, after what the file ``before`` holds, and write ``after``. The shares of a group are
    learnt at once: the more an account's rows lie together, the fewer steps it takes. ``tables`` hold their texts.
    """

    groups: tuple[tuple[Path, ...], ...]
    tables: tuple[Table, ...]
    before: Path | None
    after: Path
    reference: Reference | None


class Folded(msgspec.Struct, frozen=True):
    """A bucket's partial result: the watch's snapshot, and digests of its latest exchanges."""

    watch: bytes
    recent: bytes


def split(task: Split) -> Parcel:
    """Cut a partition. Rows keep their order."""
    if task.partition.groups is None:
        return _split_record(task)
    rows, accounts, notes = 0, set[str](), Notes()
    shares, texts = _Files(task, "share", task.buckets), _Files(task, "text", task.text_buckets)
    known = pl.Series(dtype=pl.UInt64)
    try:
        for frame in reading.frames(task.partition, task.grants):
            rows, notes = rows + frame.rows, notes + frame.notes
            accounts |= frame.accounts
            under = frame.granted.with_columns(draw=pl.lit(None, dtype=pl.UInt64), granted=True)
            name = pl.col("exchange_id")
            every = pl.concat([_drawn(frame.kept).with_columns(granted=False), under]).with_columns(
                exchange_id=pl.when(name.is_not_null()).then(name.hash(seed=2)),
                text=pl.when(pl.col("prompt").is_not_null()).then(pl.col("prompt").hash(seed=task.seed)),
            )
            shares.write(every.drop("prompt"), pl.col("account_id").hash(seed=3))
            fresh = (
                every.select("text", "prompt")
                .drop_nulls()
                .unique("text")
                .filter(~pl.col("text").is_in(known.implode()))
            )
            texts.write(fresh, pl.col("text"))
            known = known.append(fresh.get_column("text"))
    finally:
        shares.close()
        texts.close()
    return Parcel(rows, frozenset(accounts), notes, shares.made(), texts.made())


def fold(task: Fold) -> int:
    """Learn a bucket's shares, and write how things stand after them. Returns how many exchanges came twice."""
    watch, recent, twice = Watch(task.reference), np.zeros(0, dtype=np.uint64), 0
    if task.before is not None:
        held = msgspec.msgpack.decode(task.before.read_bytes(), type=Folded)
        watch.restore(held.watch)
        recent = np.frombuffer(held.recent, dtype="<u8")
    texts = Texts(task.tables)
    for group in task.groups:
        for share in group:
            if share.suffix == ".exchanges":
                watch.learn(msgspec.msgpack.decode(share.read_bytes(), type=list[Exchange]))
        for both in _frames([share for share in group if share.suffix != ".exchanges"]):
            watch.learn_permitted(from_frame(both.filter("granted"), frozenset(), texts=texts))
            frame = both.filter(~pl.col("granted"))
            fresh, recent = _once(frame, recent)
            twice += frame.height - fresh.height
            watch.learn_batch(from_frame(_thin(fresh, watch), watch.parts, texts=texts))
    done = Folded(watch.snapshot(), recent.astype("<u8").tobytes())
    task.after.write_bytes(msgspec.msgpack.encode(done))
    return twice


def _split_record(task: Split) -> Parcel:
    shares: list[list[Exchange]] = [[] for _ in range(task.buckets)]
    rows, accounts, notes = 0, set[str](), Notes()
    for chunk in reading.exchanges(task.partition, task.grants):
        rows, notes = rows + chunk.rows, notes + chunk.notes
        accounts |= chunk.accounts
        under = [msgspec.structs.replace(e, grant_id=e.grant_id or "granted") for e in chunk.granted]
        every = [*chunk.kept, *under]
        numbers = (pl.Series([e.account_id for e in every], dtype=pl.String).hash(seed=3) % task.buckets).to_list()
        for exchange, number in zip(every, numbers, strict=True):
            shares[number].append(exchange)
    paths: list[Path | None] = []
    for number, share in enumerate(shares):
        path = _file(task, "share", number).with_suffix(".exchanges")
        if share:
            path.write_bytes(msgspec.msgpack.encode(share))
        paths.append(path if share else None)
    return Parcel(rows, frozenset(accounts), notes, tuple(paths), (None,) * task.text_buckets)


def _file(task: Split, kind: str, bucket: int) -> Path:
    return task.folder / f"{kind}-{task.number:05d}-{bucket:05d}.arrow"


class _Files:
    """Arrow files of one partition, a bucket each, opened when there is first something to write."""

    def __init__(self, task: Split, kind: str, buckets: int) -> None:
        self._paths = [_file(task, kind, bucket) for bucket in range(buckets)]
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}

    def write(self, frame: pl.DataFrame, number: pl.Expr) -> None:
        """Deal rows into buckets."""
        dealt = frame.with_columns(bucket=number % len(self._paths))
        for (bucket,), part in dealt.partition_by("bucket", as_dict=True, include_key=False).items():
            table = part.to_arrow(compat_level=pl.CompatLevel.oldest())
            if bucket not in self._writers:
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self._writers[bucket] = pa.ipc.new_stream(self._paths[bucket], table.schema, options=options)
            self._writers[bucket].write_table(table)

    def close(self) -> None:
        """Finish the files."""
        for writer in self._writers.values():
            writer.close()

    def made(self) -> tuple[Path | None, ...]:
        """By bucket."""
        return tuple(path if bucket in self._writers else None for bucket, path in enumerate(self._paths))


def _frames(shares: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """Shares one after the other, as many at once as make a slice."""
    held: list[pl.DataFrame] = []
    for share in shares:
        with pa.ipc.open_stream(share.read_bytes()) as stream:
            held.append(pl.DataFrame(stream.read_all()))
        if sum(frame.height for frame in held) >= _SLICE:
            yield from pl.concat(held).iter_slices(_SLICE)
            held = []
    if held:
        yield from pl.concat(held).iter_slices(_SLICE)


def _once(frame: pl.DataFrame, recent: HashArray) -> tuple[pl.DataFrame, HashArray]:
    """Leave out exchanges that came before; those without an id are all kept."""
    before = pl.Series(np.isin(frame.get_column("exchange_id").fill_null(0).to_numpy(), recent))
    named = pl.col("exchange_id").is_not_null()
    fresh = frame.filter(~named | (pl.col("exchange_id").is_first_distinct() & ~before))
    ids = fresh.get_column("exchange_id").drop_nulls().to_numpy()
    return fresh, np.concatenate([recent, ids])[-RECENT:]


def _drawn(frame: pl.DataFrame) -> pl.DataFrame:
    """Take away prompts that will not be looked at, by as many of their accounts' exchanges as this frame shows; what
    is left has its ``draw``. That spares them from being cut.
    """
    name = pl.col("exchange_id")
    sent = (name.is_null() | name.is_first_distinct()).cum_sum().over("account_id")
    drawn = frame.with_columns(draw=pl.col("prompt").hash(seed=1))
    return drawn.with_columns(prompt=pl.when(_low(sent)).then("prompt"))


def _thin(frame: pl.DataFrame, watch: Watch) -> pl.DataFrame:
    """Take away the prompts that are not looked at, of accounts that sent very many."""
    names = frame.get_column("account_id").unique()
    before = [watch.tenants[name].exchanges if name in watch.tenants else 0 for name in names.to_list()]
    sent = pl.DataFrame({"account_id": names, "before": pl.Series(before, dtype=pl.Int64)})
    place = pl.col("before") + pl.int_range(1, pl.len() + 1).over("account_id")
    counted = frame.join(sent, on="account_id", how="left", maintain_order="left")
    return counted.with_columns(text=pl.when(_low(place)).then("text"))


def _low(place: pl.Expr) -> pl.Expr:
    """Whether the prompt of an account's exchange at a place, counted from 1, is looked at."""
    return pl.col("draw").cast(pl.Float64) * place <= MOST_PROMPTS * _ALL
