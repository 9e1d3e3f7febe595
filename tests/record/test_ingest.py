"""Logs come into the record once, with pseudonyms for people and networks, and nothing is lost unsaid."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from spiritsafe.errors import InputError, UsageError
from spiritsafe.record.identity import open_identity
from spiritsafe.record.importers import Options
from spiritsafe.record.ingest import ingest
from spiritsafe.record.log import read, verify


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(number: int, **fields: object) -> dict[str, object]:
    return {"exchange_id": f"x{number}", "account_id": "alice", "time": 1772445600 + number, "prompt": "hi", **fields}


def test_people_and_networks_get_pseudonyms(tmp_path: Path) -> None:
    named = {
        "ip_prefix": "203.0.113.9",
        "network": "AS64500",
        "client": "curl/8.5",
        "payment": "card-1",
        "session": "s1",
        "key_id": "k1",
    }
    log = write(tmp_path / "log", row(1, **named), row(2, ip_prefix="net-1"))
    done = ingest([log], "jsonl", tmp_path / "data")
    assert (done.added, done.duplicates, done.problems, done.told) == (2, 0, 0, ())
    [(_, first), (_, second)] = list(read(tmp_path / "data" / "record"))
    people = open_identity(tmp_path / "data")
    assert first.account_id == people.of("account", "alice")
    assert first.ip_prefix == people.of_address("203.0.113.200")
    assert second.ip_prefix == people.of("ip_prefix", "net-1")
    kinds = {"network": "network", "client": "client", "payment": "payment", "session": "session", "key_id": "key"}
    assert all(getattr(first, field) == people.of(kind, str(named[field])) for field, kind in kinds.items())
    written = b"".join(path.read_bytes() for path in (tmp_path / "data" / "record").iterdir())
    assert not any(raw in written for raw in (b"alice", b"203.0.113", b"AS64500", b"curl", b"card-1"))


def test_accounts_can_be_kept(tmp_path: Path) -> None:
    log = write(tmp_path / "log", row(1, key_id="k1", payment="card-1"))
    ingest([log], "jsonl", tmp_path / "data", keep_accounts=True)
    [(_, found)] = list(read(tmp_path / "data" / "record"))
    assert (found.account_id, found.key_id) == ("alice", "k1")
    assert found.payment != "card-1"


def test_duplicates_are_skipped_across_files_and_runs(tmp_path: Path) -> None:
    one = write(tmp_path / "one", row(1), row(2), row(1))
    two = write(tmp_path / "two", row(2), row(3))
    done = ingest([one, two], "jsonl", tmp_path / "data")
    assert (done.added, done.duplicates) == (3, 2)
    again = ingest([two, write(tmp_path / "three", row(4))], "jsonl", tmp_path / "data")
    assert (again.added, again.duplicates) == (1, 2)
    assert [exchange.exchange_id for _, exchange in read(tmp_path / "data" / "record")] == ["x1", "x2", "x3", "x4"]
    assert verify(tmp_path / "data" / "record").verdict == "intact"


def test_rows_without_an_id_are_named_by_what_they_hold(tmp_path: Path) -> None:
    same = {"account_id": "a", "time": 1772445600, "prompt": "hi"}
    log = write(tmp_path / "log", same, same, {**same, "prompt": "ho"})
    assert ingest([log], "jsonl", tmp_path / "data").added == 3
    assert ingest([log], "jsonl", tmp_path / "data").duplicates == 3
    names = [exchange.exchange_id for _, exchange in read(tmp_path / "data" / "record")]
    assert len(set(names)) == 3
    assert names[1] == f"{names[0]}-2"


def test_problems_are_counted_and_told_and_the_rest_goes_in(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [json.dumps(row(1)), "{broken", json.dumps(row(2, latency_ms=1e400)), json.dumps({"account_id": "a"})]
    lines += ["{}"] * 1500
    log.write_text("\n".join(lines).replace("Infinity", "1.5"))
    done = ingest([log], "jsonl", tmp_path / "data")
    assert (done.added, done.problems, len(done.told)) == (2, 1502, 1000)
    assert [problem.where for problem in done.told[:2]] == [f"{log}:2", f"{log}:4"]


def test_an_exchange_that_cannot_be_recorded_is_told_by_its_line(tmp_path: Path) -> None:
    log = write(tmp_path / "log", row(1), row(2))
    log.write_text(log.read_text() + '{"version":1,"exchange_id":"x","time":"2026-01-01T00:00:00Z","account_id":3}\n')
    done = ingest([log], "jsonl", tmp_path / "data")
    assert (done.added, done.problems) == (2, 1)
    assert done.told[0].where == f"{log}:3"


def test_content_accounts_and_progress(tmp_path: Path) -> None:
    log = write(tmp_path / "log", *(row(n, completion="yes") for n in range(2500)))
    seen: list[int] = []
    options = Options(account="other")
    done = ingest([log], "jsonl", tmp_path / "data", content="none", options=options, progress=seen.append)
    assert done.added == 2500
    assert seen == [1000, 2000, 2500]
    assert {exchange.completion for _, exchange in read(tmp_path / "data" / "record")} == {None}


def test_what_is_not_of_the_form_stops_before_anything(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no importer 'nginx'"):
        ingest([tmp_path / "log"], "nginx", tmp_path / "data")
    assert not (tmp_path / "data").exists()
    with pytest.raises(InputError, match="can't be read"):
        ingest([tmp_path / "log"], "jsonl", tmp_path / "data")


def test_an_exchange_that_is_nested_too_deeply_is_told(tmp_path: Path) -> None:
    sizes = range(sys.getrecursionlimit() - 100, sys.getrecursionlimit() + 10)
    deep = [{**row(n), "messages": "@"} for n in sizes]
    log = write(tmp_path / "log", *deep)
    lines = log.read_text().splitlines()
    nested = [line.replace('"@"', "[" * n + "]" * n) for n, line in zip(sizes, lines, strict=True)]
    log.write_text("\n".join([json.dumps(row(1)), *nested]))
    done = ingest([log], "jsonl", tmp_path / "data")
    assert done.added + done.problems == len(nested) + 1
    assert done.problems > 0
    assert any("deep" in problem.message or "recursion" in problem.message.lower() for problem in done.told)
