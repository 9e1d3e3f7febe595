"""`spiritsafe verify`: a verdict, the first wrong place, and an exit code that says it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.record.exchange import Exchange
from spiritsafe.record.log import SealedLog

Run = Callable[..., Any]


@pytest.fixture
def log(data: Path) -> Path:
    with SealedLog.open(data / "record", pace=0.0) as opened:
        for number in range(4):
            opened.append(
                Exchange(
                    exchange_id=f"x{number}", time=datetime.now(UTC), account_id="a", completion=f"Answer {number}"
                )
            ).result()
    return data / "record"


def test_an_intact_record(run: Run, log: Path) -> None:
    for path in (log, log.parent):
        found = run("verify", str(path), "--json").json
        assert (found["verdict"], found["rows"], found["problem"]) == ("intact", 4, None)
    assert run("verify", str(log.parent)).out.startswith("intact\n")
    assert run("verify", str(log.parent), "--key", found["key"]).code == 0


def test_a_broken_record_names_the_place(run: Run, log: Path) -> None:
    journal = log / "journal-000000000000.log"
    journal.write_bytes(journal.read_bytes().replace(b"Answer 2", b"answer 2"))
    done = run("verify", str(log.parent), "--json")
    assert done.code == 1
    found = json.loads(done.out)
    assert found["verdict"] == "broken"
    assert (found["problem"]["where"], found["problem"]["row"]) == (journal.name, 2)
    told = run("verify", str(log.parent))
    assert told.code == 1
    assert told.out.startswith(f"broken\n{journal.name}, row 2: ")


def test_another_key_is_told(run: Run, log: Path) -> None:
    done = run("verify", str(log.parent), "--key", "00" * 16)
    assert done.code == 1
    assert "expected 0000" in done.out


def test_notes_are_told(run: Run, log: Path) -> None:
    (log.parent / "keys" / "record.key").unlink()
    assert "note: the public key is the folder's own" in run("verify", str(log.parent)).out


def test_what_is_not_there_says_so(run: Run, log: Path, tmp_path: Path) -> None:
    done = run("verify", str(tmp_path / "none"))
    assert done.code == 2
    assert "no record" in done.err
    done = run("verify", str(log.parent), "--head", str(tmp_path / "none"))
    assert done.code == 2
    assert "the head can't be read" in done.err
