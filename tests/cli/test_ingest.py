"""`spiritsafe ingest`: logs go in, and what could not be read is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.record.log import read

Run = Callable[..., Any]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    row = {"account_id": "alice", "time": "2026-03-02 10:00:00", "prompt": "hi", "completion": "ho"}
    path.write_text(json.dumps(row) + "\n" + json.dumps({**row, "account_id": "bob"}) + "\n")
    return path


def test_a_log_goes_in_once(run: Run, log: Path, data: Path) -> None:
    done = run("ingest", str(log), "--from", "jsonl", "--json").json
    assert (done["added"], done["duplicates"], done["problems"]) == (2, 0, 0)
    again = run("ingest", str(log), "--from", "jsonl")
    assert again.code == 0
    assert again.out == "0 exchanges added to the record, 2 skipped that it has already.\n"
    assert "alice" not in str(list(read(data / "record")))
    assert run("verify", str(data)).code == 0


@pytest.mark.parametrize(("zone", "hour"), [("UTC", 10), ("+02:00", 8), ("-0130", 11), ("Europe/Berlin", 9)])
def test_settings_are_followed(run: Run, log: Path, data: Path, zone: str, hour: int) -> None:
    options = ("--zone", zone, "--keep-accounts", "--content", "none")
    assert run("ingest", str(log), "--from", "jsonl", *options).code == 0
    (_, first), _ = list(read(data / "record"))
    assert (first.account_id, first.completion, first.time.hour) == ("alice", None, hour)


def test_an_account_for_those_without(run: Run, tmp_path: Path, data: Path) -> None:
    log = tmp_path / "log"
    log.write_text(json.dumps({"id": "c", "object": "chat.completion", "created": 1772445600, "choices": []}) + "\n")
    assert run("ingest", str(log), "--from", "openai", "--account", "ours", "--keep-accounts").code == 0
    [(_, found)] = list(read(data / "record"))
    assert (found.account_id, found.time) == ("ours", datetime(2026, 3, 2, 10, tzinfo=UTC))


def test_problems_are_told_and_make_the_exit_code(run: Run, log: Path) -> None:
    log.write_text(log.read_text() + "{\n" * 30)
    done = run("ingest", str(log), "--from", "jsonl")
    assert done.code == 1
    assert done.out == "2 exchanges added to the record.\n"
    assert f"{log}:3: the line is not JSON" in done.err
    assert "30 places could not be read, 10 of them not shown here." in done.err


def test_a_table_without_its_columns_says_which(run: Run, tmp_path: Path) -> None:
    import polars as pl

    path = tmp_path / "log.parquet"
    pl.DataFrame({"user": ["a"]}).write_parquet(path)
    done = run("ingest", str(path), "--from", "parquet")
    assert done.code == 2
    assert "lacks 'account_id', 'time'; it has 'user'" in done.err
    path.write_bytes(b"none")
    assert "not Parquet" in run("ingest", str(path), "--from", "parquet").err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--from", "nginx"), "Give one of: litellm"),
        (("--from", "jsonl", "--zone", "Mars/Olympus"), "no time zone"),
    ],
)
def test_wrong_usage_begins_nothing(run: Run, log: Path, data: Path, options: tuple[str, ...], words: str) -> None:
    done = run("ingest", str(log), *options)
    assert done.code == 2
    assert words in done.err
    assert not data.exists()


def test_a_missing_log_says_so(run: Run, tmp_path: Path) -> None:
    done = run("ingest", str(tmp_path / "none"), "--from", "jsonl")
    assert done.code == 2
    assert "can't be read: no such file" in done.err
