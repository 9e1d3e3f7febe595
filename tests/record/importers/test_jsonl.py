"""JSON lines: exchanges as we write them, and plain rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from spiritsafe.errors import Problem
from spiritsafe.record.canonical import canonical
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.importers import Options, importer

Load = Callable[..., list[Exchange]]


def test_exchanges_and_rows(load: Load) -> None:
    ours, row, last = load("jsonl")
    assert (ours.exchange_id, ours.extra) == ("x1", {"colour": "marker-7531"})
    assert row == Exchange(
        exchange_id="x2",
        time=datetime(2026, 3, 2, 10, tzinfo=UTC),
        account_id="user-2",
        messages=(Message("user", "Which wood?"),),
        completion="Oak.",
        prompt_tokens=3,
        params={"temperature": 0.5},
        ip_prefix="203.0.113.9",
        payment="card-1",
        extra={"cask": 7},
    )
    assert (last.system, last.messages) == ("Be brief.", (Message("user", "And then?"),))


def test_our_own_bytes_come_back(load: Load, tmp_path: Path) -> None:
    wanted = Exchange(
        exchange_id="x",
        time=datetime(2026, 3, 2, 10, 0, 0, 5, tzinfo=UTC),
        account_id="a",
        messages=(Message("user", "hi", {"name": "n"}),),
        extra={"k": [1.5]},
    )
    path = tmp_path / "log"
    path.write_bytes(canonical(wanted) + b"\n")
    assert load("jsonl", path) == [wanted]


def test_what_is_no_exchange_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"version":2,"exchange_id":"x"}\n{"version":1}\n{"account_id":"a"}\n{"time":3}\n')
    found = list(importer("jsonl").read([path], Options()))
    assert [item.where for item in found] == [f"{path}:{n}" for n in range(1, 5)]
    assert all(isinstance(item, Problem) for item in found)
    assert "version 2" in str(found[0])
    assert "'time'" in str(found[2])
    assert "'account_id'" in str(found[3])
