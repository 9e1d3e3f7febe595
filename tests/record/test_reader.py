"""A log is read from any row on, beside its writer, across rolling."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from spiritsafe.errors import BrokenRecord, InputError
from spiritsafe.record.canonical import first_link, seal
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.journal import Header, Journal, create
from spiritsafe.record.layout import journal_path
from spiritsafe.record.log import SealedLog
from spiritsafe.record.reader import follow, frame, read

Make = Callable[..., Exchange]
Fill = Callable[..., Path]


@pytest.mark.parametrize("rolls", [(), (12,), (4, 9), (4, 12)])
@pytest.mark.parametrize("start", [0, 1, 4, 8, 11, 12, 50])
def test_reading_begins_at_any_row(fill: Fill, make: Make, rolls: tuple[int, ...], start: int) -> None:
    folder = fill(12, rolls=rolls)
    assert list(read(folder, start=start)) == [(n, make(n)) for n in range(start, 12)]


def test_an_empty_log_reads_as_empty(fill: Fill, tmp_path: Path) -> None:
    assert list(read(fill(0))) == []
    empty = tmp_path / "empty"
    empty.mkdir()
    assert list(read(empty)) == []
    with pytest.raises(InputError, match="no record"):
        list(read(tmp_path / "none"))


def test_a_follower_sees_every_row_once_while_the_log_is_written_and_rolled(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "data" / "record"
    stop = threading.Event()
    seen: list[tuple[int, Exchange]] = []
    late: list[tuple[int, Exchange]] = []

    def watch(start: int, into: list[tuple[int, Exchange]]) -> None:
        for batch in follow(folder, start, stop):
            assert batch
            into += batch
            if into[-1][0] == 599:
                return

    threads = [threading.Thread(target=watch, args=given) for given in ((0, seen), (250, late))]
    for thread in threads:
        thread.start()  # before there is a folder
    with SealedLog.open(folder, pace=0.0, roll_rows=100) as log:
        for number in range(600):
            future = log.append(make(number))
            if number % 10 == 0:
                future.result()
            if number == 333:
                log.roll()
    for thread in threads:
        thread.join(timeout=200)
        assert not thread.is_alive()
    stop.set()
    assert seen == [(n, make(n)) for n in range(600)]
    assert late == [(n, make(n)) for n in range(250, 600)]


def test_a_follower_stops_when_told(fill: Fill) -> None:
    stop = threading.Event()
    batches = follow(fill(3), 0, stop)
    assert [number for number, _ in next(batches)] == [0]
    stop.set()
    assert list(batches) == []


def test_a_frame_holds_segments_and_journals(fill: Fill) -> None:
    for rolls in ((), (5, 9), (12,)):
        table = frame(fill(12, rolls=rolls)).collect()
        assert table["row"].to_list() == list(range(12))
        assert table["prompt_tokens"].sum() == sum(range(12))
        assert table["time"].dtype == pl.Datetime("us", "UTC")
    assert not {"salt", "commitment", "mark"} & set(table.columns)


def test_an_incomplete_end_is_not_read(fill: Fill, make: Make) -> None:
    folder = fill(5)
    path = journal_path(folder, 0)
    data = path.read_bytes()
    path.write_bytes(data[:-40])
    rows = [number for number, _ in read(folder)]
    assert rows == list(range(len(rows)))
    assert len(rows) < 5


def test_a_changed_row_stops_reading(fill: Fill) -> None:
    folder = fill(12)
    path = journal_path(folder, 0)
    path.write_bytes(path.read_bytes().replace(b"What is 1 ", b"what is 1 "))
    with pytest.raises(BrokenRecord, match=r"journal-000000000000\.log, row 1"):
        list(read(folder))


def test_a_follower_tells_of_a_changed_row(fill: Fill) -> None:
    folder = fill(12)
    path = journal_path(folder, 0)
    path.write_bytes(path.read_bytes().replace(b"What is 1 ", b"what is 1 "))
    with pytest.raises(BrokenRecord, match="row 1"):
        list(follow(folder, 0, threading.Event()))


def test_missing_files_stop_reading(fill: Fill) -> None:
    folder = fill(12, rolls=(4, 8))
    (folder / "segment-000000000004.parquet").rename(folder / "away")
    with pytest.raises(BrokenRecord, match=r"missing"):
        list(read(folder))
    (folder / "segment-000000000004.json").unlink()
    with pytest.raises(BrokenRecord, match="row 4 is missing"):
        list(read(folder))


def test_a_missing_journal_stops_reading(fill: Fill) -> None:
    folder = fill(4)
    create(journal_path(folder, 9), Header(first=9, link="00" * 32, log="00" * 16))
    with pytest.raises(BrokenRecord, match="rows 4 to 8 are missing"):
        list(read(folder))


def test_a_newer_row_says_where(make: Make, tmp_path: Path) -> None:
    sealed = seal(make(0))
    newer = sealed._replace(envelope=sealed.envelope.replace(b'"version":1', b'"version":2'))
    link = first_link(bytes(16))
    path = journal_path(tmp_path, 0)
    create(path, Header(first=0, link=link.hex(), log="00" * 16))
    journal = Journal.resume(path)
    journal.write([sealed, newer])
    journal.finish()
    with pytest.raises(InputError, match="row 1: an exchange has version 2"):
        list(read(tmp_path))
