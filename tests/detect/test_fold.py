from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from spiritsafe.detect.account import account_detectors
from spiritsafe.detect.fold import MOST_PROMPTS, Fold, Folded, Parcel, Split, fold, split
from spiritsafe.detect.log import open_log
from spiritsafe.detect.online import Watch
from spiritsafe.detect.tenant import Tenant
from spiritsafe.detect.texts import Cut, Table, cut
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog

WORDS = [f"{a}{b}{c}" for a in "bcdfghklmnprst" for b in "aeiou" for c in "bcdfghklmnprst"]


DETECTORS = tuple(detector.name for detector in account_detectors())


def shares(path: Path, work: Path, buckets: int = 3) -> Parcel:
    work.mkdir(exist_ok=True)
    (partition,) = open_log([str(path)]).partitions
    return split(Split(0, partition, (), buckets, 2, work, seed=7))


def folded(
    work: Path, *parcels: Parcel, bucket: int | None = None, before: Path | None = None
) -> tuple[dict[str, Tenant], int]:
    """What is known of the accounts of some parcels, or of one bucket of them, and how many exchanges came twice."""
    work.mkdir(exist_ok=True)
    after, tables = work / "after", tuple(Table(work / f"table-{number}") for number in range(2))
    for number, table in enumerate(tables):
        texts = [parcel.texts[number] for parcel in parcels]
        cut(Cut(tuple(path for path in texts if path is not None), DETECTORS, table))
    paths = [
        path for parcel in parcels for path in parcel.shares[slice(bucket, None if bucket is None else bucket + 1)]
    ]
    twice = fold(Fold(tuple((path,) for path in paths if path is not None), tables, before, after, None))
    for table in tables:
        table.drop()
    watch = Watch()
    watch.restore(msgspec.msgpack.decode(after.read_bytes(), type=Folded).watch)
    return watch.tenants, twice


def test_an_account_is_in_one_share_and_its_rows_stay_in_order(traffic: pl.DataFrame, tmp_path: Path) -> None:
    traffic.write_parquet(tmp_path / "a.parquet")
    parcel = shares(tmp_path / "a.parquet", tmp_path / "w")
    assert parcel.rows == traffic.height
    assert parcel.accounts == set(traffic.get_column("account_id").unique())
    found = [folded(tmp_path / "f", parcel, bucket=bucket)[0] for bucket in range(3)]
    assert sum(len(tenants) for tenants in found) == len(parcel.accounts)
    whole, _ = folded(tmp_path / "f", shares(tmp_path / "a.parquet", tmp_path / "one", buckets=1))
    assert set(whole) == parcel.accounts
    for tenants in found:
        for name, tenant in tenants.items():
            assert tenant.state(account_detectors()) == whole[name].state(account_detectors())


def test_folding_on_gives_what_folding_at_once_gives(traffic: pl.DataFrame, tmp_path: Path) -> None:
    half = traffic.height // 2
    for name, part in (("a", traffic.head(half)), ("b", traffic.slice(half))):
        part.write_parquet(tmp_path / f"{name}.parquet")
    a, b = (shares(tmp_path / f"{n}.parquet", tmp_path / n, buckets=1) for n in "ab")
    folded(tmp_path / "once", a, b)
    folded(tmp_path / "first", a)
    folded(tmp_path / "then", b, before=tmp_path / "first" / "after")
    at_once, going_on = (
        msgspec.msgpack.decode((tmp_path / name / "after").read_bytes(), type=Folded).watch for name in ("once", "then")
    )
    assert at_once == going_on


def test_an_exchange_that_comes_twice_counts_once(tmp_path: Path) -> None:
    frame = pl.DataFrame({"account_id": ["a"] * 4, "prompt": WORDS[:4], "exchange_id": ["x", "y", "x", None]})
    frame.write_parquet(tmp_path / "a.parquet")
    a = shares(tmp_path / "a.parquet", tmp_path / "a", buckets=1)
    once, twice = folded(tmp_path / "f", a)
    assert twice == 1
    assert once["a"].exchanges == 3
    again, twice = folded(tmp_path / "g", a, before=tmp_path / "f" / "after")
    assert twice == 3
    assert again["a"].exchanges == 4


def test_an_account_that_floods_is_sampled_and_the_others_are_not(tmp_path: Path) -> None:
    flood = [f"{one} {two}" for one in WORDS[:100] for two in WORDS[100:130]]
    columns = {"account_id": ["a"] * len(flood) + ["b"] * 40, "prompt": [*flood, *WORDS[:40]]}
    pl.DataFrame(columns).write_parquet(tmp_path / "a.parquet")
    parcel = shares(tmp_path / "a.parquet", tmp_path / "a")
    tenants, _ = folded(tmp_path / "f", parcel)
    assert tenants["a"].exchanges == len(flood)
    assert len(tenants["b"].seen) == 40
    looked_at = 256 * len(tenants["a"].done) + len(tenants["a"].seen)
    assert MOST_PROMPTS <= looked_at < 4.5 * MOST_PROMPTS
    written = sum(pl.read_ipc_stream(path).height for path in parcel.texts if path is not None)
    assert written < len(flood) / 2


@pytest.mark.parametrize("buckets", [1, 4])
def test_a_sealed_record_is_split_too(tmp_path: Path, buckets: int) -> None:
    sealed = SealedLog.open(tmp_path / "record")
    for i in range(60):
        asked = Message("user", " ".join(WORDS[i : i + 3]))
        when = datetime(2026, 3, 2) + timedelta(minutes=i)  # noqa: DTZ001
        sealed.append(
            Exchange(exchange_id=f"e{i}", time=when.astimezone(), account_id=f"a{i % 3}", messages=(asked,))
        ).result(timeout=200)
    sealed.close()
    parcel = shares(tmp_path, tmp_path / "w", buckets)
    assert parcel.rows == 60
    tenants, _ = folded(tmp_path / "f", parcel)
    assert {name: len(tenant.seen) for name, tenant in tenants.items()} == {"a0": 20, "a1": 20, "a2": 20}
