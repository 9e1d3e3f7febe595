"""Journals are rolled in order; what stands in the way is told and tried again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from spiritsafe.errors import BrokenRecord, ResourceError
from spiritsafe.record import canonical, journal, roller
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.journal import Header, Journal
from spiritsafe.record.keys import Signer
from spiritsafe.record.layout import journal_path, layout
from spiritsafe.record.roller import Roller

Make = Callable[..., Exchange]


def write(folder: Path, make: Make, first: int, link: bytes) -> Journal:
    path = journal_path(folder, first)
    journal.create(path, Header(first=first, link=link.hex(), log="00" * 16))
    log = Journal.resume(path)
    log.write([canonical.seal(make(first)), canonical.seal(make(first + 1))])
    log.finish()
    return log


def test_journals_are_rolled_in_order(tmp_path: Path, make: Make) -> None:
    link = canonical.first_link(bytes(16))
    worker = Roller(None, Signer(bytes(32)), 0.001)
    done: list[Future[None]] = [Future() for _ in range(3)]
    for number in range(3):
        log = write(tmp_path, make, 2 * number, link)
        link = log.link
        worker.put(log.path, done[number])
    nothing: Future[None] = Future()
    worker.put(None, nothing)
    for future in (*done, nothing):
        future.result(timeout=200)
    worker.close()
    assert worker.trouble is None
    assert sorted(layout(tmp_path).manifests) == [0, 2, 4]
    assert not layout(tmp_path).journals


def test_a_refusing_disk_is_tried_again(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roller, "RETRY_SECONDS", 0.01)
    log = write(tmp_path, make, 0, canonical.first_link(bytes(16)))
    in_the_way = tmp_path / "segment-000000000000.parquet.tmp"
    in_the_way.mkdir()
    worker = Roller(None, Signer(bytes(32)), 0.0)
    first: Future[None] = Future()
    worker.put(log.path, first)
    with pytest.raises(ResourceError, match="can't be written"):
        first.result(timeout=200)
    assert worker.trouble is not None
    assert log.path.exists()
    in_the_way.rmdir()
    again: Future[None] = Future()
    worker.put(None, again)
    again.result(timeout=200)
    worker.close()
    assert worker.trouble is None
    assert sorted(layout(tmp_path).manifests) == [0]


def test_a_broken_journal_stops_what_comes_after(tmp_path: Path, make: Make) -> None:
    log = write(tmp_path, make, 0, canonical.first_link(bytes(16)))
    log.path.write_bytes(log.path.read_bytes().replace(b"What is 0", b"what is 0"))
    worker = Roller(None, Signer(bytes(32)), 0.0)
    first: Future[None] = Future()
    second: Future[None] = Future()
    worker.put(log.path, first)
    worker.put(None, second)
    with pytest.raises(BrokenRecord, match="row 0"):
        first.result(timeout=200)
    with pytest.raises(ResourceError, match="earlier journal"):
        second.result(timeout=200)
    worker.close()
    assert isinstance(worker.trouble, BrokenRecord)
