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
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog

WORDS = [f"{a}{b}{c}" for a in "bcdfghklmnprst" for b in "aeiou" for c in "bcdfghklmnprst"]


def shares(path: Path, work: Path, buckets: int = 3) -> Parcel:
    work.mkdir(exist_ok=True)
    (partition,) = open_log([str(path)]).partitions
    return split(Split(0, partition, (), buckets, work))


def folded(work: Path, *paths: Path | None, before: Path | None = None) -> tuple[Watch, int]:
    work.mkdir(exist_ok=True)
    after = work / "after"
    twice = fold(Fold(tuple((p,) for p in paths if p is not None), before, after, None))
    watch = Watch()
    watch.restore(msgspec.msgpack.decode(after.read_bytes(), type=Folded).watch)
    return watch, twice


def test_an_account_is_in_one_share_and_its_rows_stay_in_order(traffic: pl.DataFrame, tmp_path: Path) -> None:
    traffic.write_parquet(tmp_path / "a.parquet")
    parcel = shares(tmp_path / "a.parquet", tmp_path / "w")
    assert parcel.rows == traffic.height
    assert parcel.accounts == set(traffic.get_column("account_id").unique())
    found = [folded(tmp_path / "f", path)[0].tenants for path in parcel.shares]
    assert sum(len(tenants) for tenants in found) == len(parcel.accounts)
    whole = folded(tmp_path / "f", *shares(tmp_path / "a.parquet", tmp_path / "one", buckets=1).shares)[0].tenants
    assert set(whole) == parcel.accounts
    for tenants in found:
        for name, tenant in tenants.items():
            assert tenant.state(account_detectors()) == whole[name].state(account_detectors())


def test_folding_on_gives_what_folding_at_once_gives(traffic: pl.DataFrame, tmp_path: Path) -> None:
    half = traffic.height // 2
    for name, part in (("a", traffic.head(half)), ("b", traffic.slice(half))):
        part.write_parquet(tmp_path / f"{name}.parquet")
    a, b = (shares(tmp_path / f"{n}.parquet", tmp_path / n, buckets=1).shares for n in "ab")
    at_once, _ = folded(tmp_path / "once", *a, *b)
    folded(tmp_path / "first", *a)
    going_on, _ = folded(tmp_path / "then", *b, before=tmp_path / "first" / "after")
    assert at_once.snapshot() == going_on.snapshot()


def test_an_exchange_that_comes_twice_counts_once(tmp_path: Path) -> None:
    frame = pl.DataFrame({"account_id": ["a"] * 4, "prompt": WORDS[:4], "exchange_id": ["x", "y", "x", None]})
    frame.write_parquet(tmp_path / "a.parquet")
    a = shares(tmp_path / "a.parquet", tmp_path / "a", buckets=1).shares
    once, twice = folded(tmp_path / "f", *a)
    assert twice == 1
    assert once.tenants["a"].exchanges == 3
    again, twice = folded(tmp_path / "g", *a, before=tmp_path / "f" / "after")
    assert twice == 3
    assert again.tenants["a"].exchanges == 4


def test_an_account_that_floods_is_sampled_and_the_others_are_not(tmp_path: Path) -> None:
    flood = [f"{one} {two}" for one in WORDS[:100] for two in WORDS[100:130]]
    columns = {"account_id": ["a"] * len(flood) + ["b"] * 40, "prompt": [*flood, *WORDS[:40]]}
    pl.DataFrame(columns).write_parquet(tmp_path / "a.parquet")
    watch, _ = folded(tmp_path / "f", *shares(tmp_path / "a.parquet", tmp_path / "a").shares)
    assert watch.tenants["a"].exchanges == len(flood)
    assert len(watch.tenants["b"].seen) == 40
    looked_at = 256 * len(watch.tenants["a"].done) + len(watch.tenants["a"].seen)
    assert MOST_PROMPTS <= looked_at < 4.5 * MOST_PROMPTS


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
    tenants = {n: t for path in parcel.shares for n, t in folded(tmp_path / "f", path)[0].tenants.items()}
    assert {name: len(tenant.seen) for name, tenant in tenants.items()} == {"a0": 20, "a1": 20, "a2": 20}
