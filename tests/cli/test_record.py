"""`spiritsafe record`: what people see of the record, and what they can drop from it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog, read

Run = Callable[..., Any]


@pytest.fixture
def log(data: Path) -> Path:
    """A record of 30 exchanges, one a day up to now, in a segment and a journal."""
    now = datetime.now(UTC)
    with SealedLog.open(data / "record", pace=0.0) as opened:
        for number in range(30):
            opened.append(
                Exchange(
                    exchange_id=f"x{number}",
                    time=now - timedelta(days=29 - number, hours=1),
                    account_id="acc",
                    model="small",
                    messages=(Message("user", f"Question {number}\x1b[31m " + "and so on " * 20),),
                    completion=f"Answer {number}",
                    status=200,
                )
            )
            if number == 19:
                opened.roll()
    return data / "record"


def test_one_exchange_is_shown_by_row_or_id(run: Run, log: Path) -> None:
    shown = run("record", "show", "7", "--json").json
    assert (shown["row"], shown["exchange_id"], shown["completion"]) == (7, "x7", "Answer 7")
    assert run("record", "show", "x25", "--json").json["row"] == 25
    table = run("record", "show", "25")
    assert "Answer 25" in table.out
    assert "\x1b" not in table.out


@pytest.mark.parametrize("which", ["30", "x30"])
def test_what_is_not_there_says_so(run: Run, log: Path, which: str) -> None:
    done = run("record", "show", which)
    assert done.code == 2
    assert "there is no" in done.err


def test_the_last_are_shown(run: Run, log: Path) -> None:
    lines = [json.loads(line) for line in run("record", "tail", "-n", "12", "--json").out.splitlines()]
    assert [line["row"] for line in lines] == list(range(18, 30))
    table = run("record", "tail").out
    assert "Question 20" in table
    assert "Question 19" not in table
    assert "\x1b" not in table
    assert run("record", "tail", "-n", "0", "--json").out == ""


def test_new_ones_are_followed(
    run: Run, log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> Any:
        with SealedLog.open(log) as opened:
            opened.append(
                Exchange(exchange_id="new", time=datetime.now(UTC), account_id="a\x1b[2J", completion="c")
            ).result()
        for batch in follow(log, 30, threading.Event()):
            yield batch
            raise KeyboardInterrupt

    from spiritsafe.record import reader

    follow = reader.follow
    monkeypatch.setattr(reader, "follow", interrupted)
    done = run("record", "tail", "-n", "1", "--follow")
    assert done.code == 0
    assert "Question 29" in done.out
    assert done.out.splitlines()[-1].startswith("30 ")
    assert "\x1b" not in done.out


def test_the_head_is_printed_as_it_is_verified(run: Run, log: Path, tmp_path: Path) -> None:
    done = run("record", "head")
    assert "30 rows" in done.err
    head = tmp_path / "head.json"
    head.write_text(done.out)
    assert json.loads(done.out)["signed"]["rows"] == 30
    assert run("record", "head", "--json").out == done.out
    assert run("verify", str(log.parent), "--head", str(head)).code == 0


@pytest.mark.parametrize("before", ["10d", (datetime.now(UTC) - timedelta(days=10)).isoformat()], ids=["age", "date"])
def test_old_content_is_dropped(run: Run, log: Path, before: str) -> None:
    done = run("record", "prune", "--before", before, "--json").json
    assert (done["rows"], done["waiting"]) == (20, False)
    kept = [exchange.completion for _, exchange in read(log)]
    assert kept == [None] * 20 + [f"Answer {n}" for n in range(20, 30)]
    assert "Dropped the content of 0 exchanges" in run("record", "prune", "--before", before).out
    assert run("verify", str(log.parent)).code == 0
    assert "(none)" in run("record", "tail", "-n", "30").out


def test_a_running_gateway_is_mentioned(run: Run, log: Path) -> None:
    with SealedLog.open(log):
        assert "Prune again" in run("record", "prune", "--before", "2001-01-01").out


@pytest.mark.parametrize("before", ["soon", "", "10x", "2026-13-01"])
def test_what_is_no_time_is_refused(run: Run, log: Path, before: str) -> None:
    done = run("record", "prune", "--before", before)
    assert done.code == 2
    assert "is no" in done.err


@pytest.mark.parametrize("verb", [("show", "1"), ("tail",), ("head",), ("prune", "--before", "1d")])
def test_a_folder_without_a_record_says_so(run: Run, verb: tuple[str, ...]) -> None:
    done = run("record", *verb)
    assert done.code == 2
    assert "no record" in done.err


def test_a_head_needs_its_key(run: Run, log: Path) -> None:
    (log / "key.pub").unlink()
    assert "no public key" in run("record", "head").err
