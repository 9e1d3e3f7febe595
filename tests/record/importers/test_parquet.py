"""Tables: any subset of columns, a clear word about missing ones, and our own segments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from spiritsafe.errors import InputError, Problem
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.importers import Item, Options, importer
from spiritsafe.record.log import SealedLog

Load = Callable[..., list[Exchange]]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_a_table(load: Load) -> None:
    first, second, third = load("parquet")
    assert first == Exchange(
        exchange_id="x1",
        time=NOON - timedelta(hours=2),
        account_id="user-1",
        model="still-large",
        messages=(Message("user", "How long?"),),
        completion="Three years.",
        prompt_tokens=2,
        params={"temperature": 0.5},
        ip_prefix="203.0.113.9",
        extra={"colour": "marker-7531"},
    )
    assert second.params == {}
    assert (third.exchange_id, third.completion, third.time) == ("", None, NOON)


def test_missing_columns_are_named_beside_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pl.DataFrame({"user": ["a"], "timestamp": [1]}).write_parquet(path)
    with pytest.raises(InputError, match=r"log\.parquet: the table lacks 'account_id', 'time'; it has 'user', 'timest"):
        next(importer("parquet").read([path], Options()))


def test_the_last_file_is_checked_before_the_first_is_read(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    pl.DataFrame({"account_id": ["a"], "time": [NOON]}).write_parquet(good)
    bad.write_bytes(b"no table")
    with pytest.raises(InputError, match=r"bad\.parquet: the file is not Parquet"):
        next(importer("parquet").read([good, bad], Options()))


def test_rows_without_account_or_time_are_told(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    rows = {"account_id": ["a", None, "c"], "time": [NOON, NOON, None]}
    pl.DataFrame(rows).write_parquet(path)
    found = list(importer("parquet").read([path], Options()))
    assert [isinstance(item, Item) for item in found] == [True, False, False]
    assert [item.where for item in found if isinstance(item, Problem)] == [f"{path}:2", f"{path}:3"]


def test_columns_of_odd_types_are_kept(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    row = {
        "account_id": [7],
        "time": [NOON.replace(tzinfo=None)],
        "blob": [b"\x01\xff"],
        "when": [NOON],
        "list": [[1, 2]],
        "messages": [[{"role": "user", "content": "hi"}]],
    }
    pl.DataFrame(row).write_parquet(path)
    [exchange] = load("parquet", path)
    assert (exchange.account_id, exchange.time, exchange.messages) == ("7", NOON, (Message("user", "hi"),))
    assert exchange.extra["blob"] == "01ff"
    assert exchange.extra["list"] == [1, 2]
    assert exchange.extra["when"].startswith("2026-03-02 12:00:00")


def test_our_own_segments_come_back(load: Load, tmp_path: Path) -> None:
    wanted = Exchange(
        exchange_id="x1",
        time=NOON,
        account_id="a",
        messages=(Message("user", [{"type": "text", "text": "hi"}], {"name": "n"}), Message("tool", "t", {"id": 3})),
        system="s",
        params={"temperature": 0.5, "nested": {"a": [1]}},
        extra={"colour": 3},
        latency_ms=2.5,
    )
    with SealedLog.open(tmp_path / "data" / "record", pace=0.0) as log:
        log.append(wanted)
        log.roll()
    assert load("parquet", tmp_path / "data" / "record" / "segment-000000000000.parquet") == [wanted]
