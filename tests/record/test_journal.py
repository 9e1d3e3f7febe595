"""A journal keeps every complete row through a crash at any byte, and knows a crash from a changed byte."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.errors import BrokenRecord, InputError
from spiritsafe.record import canonical, journal
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.journal import HEADER_BYTES, SECTOR, Header, Journal, Reader

Make = Callable[..., Exchange]
LINK = canonical.first_link(bytes(16))


def begin(path: Path, first: int = 0) -> Journal:
    journal.create(path, Header(first=first, link=LINK.hex(), log="00" * 16))
    return Journal.resume(path)


def write(path: Path, make: Make, groups: list[int]) -> list[int]:
    """Write groups of so many rows; return the offset after each."""
    log = begin(path)
    ends = []
    number = 0
    for size in groups:
        log.write([canonical.seal(make(number + n)) for n in range(size)])
        number += size
        ends.append(log.end)
    log.finish()
    return ends


def rows(path: Path) -> list[int]:
    with Reader(path) as reader:
        return [entry.number for group in reader.groups() for entry in group]


@settings(max_examples=15)
@given(data=st.data())
def test_any_rows_come_back(
    tmp_path_factory: pytest.TempPathFactory, exchanges: st.SearchStrategy[Exchange], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    groups = data.draw(st.lists(st.lists(exchanges, min_size=1, max_size=3), max_size=4))
    log = begin(path, first=40)
    sealed = [[canonical.seal(exchange) for exchange in group] for group in groups]
    for group in sealed:
        log.write(group)
    log.finish()
    with Reader(path) as reader:
        found = [[entry.row for entry in group] for group in reader.groups()]
        assert reader.bad() is None
        assert (reader.row, reader.link) == (log.row, log.link)
    assert found == sealed


def test_a_crash_at_any_byte_loses_no_complete_row(tmp_path: Path, make: Make) -> None:
    path, crashed = tmp_path / "whole", tmp_path / "crashed"
    ends = write(path, make, [1, 3, 2])
    data = path.read_bytes()
    counts = {HEADER_BYTES: 0, ends[0]: 1, ends[1]: 4, ends[2]: 6}
    seen = set()
    for cut in sorted({*range(HEADER_BYTES, len(data), 13), *ends, *(end - 1 for end in ends)}):
        crashed.write_bytes(data[:cut].ljust(len(data) + 3 * SECTOR, b"\0"))  # zeros were there before the group
        log = Journal.resume(crashed)
        complete = max(count for end, count in counts.items() if end <= cut)
        assert log.row >= complete, f"cut at {cut}"
        seen.add(log.row)
        log.write([canonical.seal(make(log.row))])
        log.finish()
        assert rows(crashed) == list(range(log.row))
    assert seen == set(range(7))  # complete rows of an incomplete group are kept too


def test_a_file_that_ends_anywhere_is_mended(tmp_path: Path, make: Make) -> None:
    path, crashed = tmp_path / "whole", tmp_path / "crashed"
    ends = write(path, make, [2, 2])
    data = path.read_bytes()
    for cut in range(HEADER_BYTES, len(data), 17):
        crashed.write_bytes(data[:cut])
        log = Journal.resume(crashed)
        assert log.row >= (2 if cut >= ends[0] else 0)
        log.finish()


def test_sectors_of_the_last_group_that_were_never_written_are_mended(tmp_path: Path, make: Make) -> None:
    path, crashed = tmp_path / "whole", tmp_path / "crashed"
    ends = write(path, make, [1, 8])
    data = path.read_bytes()
    for start in range(ends[0] - ends[0] % SECTOR, len(data), SECTOR):
        low, high = max(start, ends[0]), min(start + SECTOR, len(data))
        crashed.write_bytes(data[:low] + bytes(high - low) + data[high:])
        log = Journal.resume(crashed)
        assert 1 <= log.row < 9
        log.finish()


def test_every_changed_byte_is_found(tmp_path: Path, make: Make) -> None:
    path, changed = tmp_path / "whole", tmp_path / "changed"
    ends = write(path, make, [1, 2, 1])
    data = path.read_bytes()
    whole = journal.read_header(path)
    for at in range(len(data)):
        changed.write_bytes(data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :])
        try:
            with Reader(changed) as reader:
                if reader.header != whole:
                    continue  # whoever opens a log compares the header with the rows before it
                found = sum(len(group) for group in reader.groups())
                bad = reader.bad()
        except (BrokenRecord, InputError):
            assert at < HEADER_BYTES
            continue
        assert bad is not None, f"byte {at}"
        assert found < 4
        if at < ends[1]:
            assert not bad.torn, f"byte {at}: a group follows, so no crash left it"
            with pytest.raises(BrokenRecord, match=f"changed, row {bad.row}"):
                Journal.resume(changed)


def test_the_first_wrong_row_is_named(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "journal"
    write(path, make, [2, 5])
    data = path.read_bytes()
    at = data.index(b"What is 4 plus 4")
    path.write_bytes(data[:at] + b"w" + data[at + 1 :])
    with Reader(path) as reader:
        assert [len(group) for group in reader.groups()] == [2]
        bad = reader.bad()
    assert bad is not None
    assert bad.row == 4
    assert not bad.torn


def test_groups_that_are_removed_or_swapped_are_found(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "journal"
    a, b, c = write(path, make, [1, 1, 1])
    data = path.read_bytes()
    for wrong in (data[:a] + data[b:], data[:a] + data[b:c] + data[a:b], data[:b] + data[a:]):
        path.write_bytes(wrong)
        with pytest.raises(BrokenRecord):
            Journal.resume(path)


def test_reading_goes_on_where_the_writer_goes_on(tmp_path: Path, make: Make) -> None:
    log = begin(tmp_path / "journal")
    with Reader(log.path) as reader:
        for number in range(3):
            log.write([canonical.seal(make(number))])
            assert [entry.number for group in reader.groups() for entry in group] == [number]
            assert reader.bad() is None
    log.abandon()


def test_a_failed_write_is_taken_back(tmp_path: Path, make: Make) -> None:
    log = begin(tmp_path / "journal")
    log.write([canonical.seal(make(0))])
    with log.path.open("r+b") as half:  # what a write that the disk broke off may leave
        half.seek(log.end)
        half.write(b"\xff half a group")
    log.undo()
    log.write([canonical.seal(make(1))])
    log.finish()
    assert rows(log.path) == [0, 1]


def test_space_is_reserved_ahead_and_given_back(tmp_path: Path, make: Make) -> None:
    log = begin(tmp_path / "journal")
    log.write([canonical.seal(make(0))])
    assert log.path.stat().st_size == log.end + journal.RESERVE
    log.write([canonical.seal(make(1, completion="x" * (2 * journal.RESERVE)))])
    assert log.path.stat().st_size == log.end + journal.RESERVE
    log.finish()
    assert log.path.stat().st_size == log.end
    assert rows(log.path) == [0, 1]


def test_a_removed_file_is_noticed(tmp_path: Path) -> None:
    log = begin(tmp_path / "journal")
    assert not log.removed
    os.unlink(log.path)
    assert log.removed
    log.abandon()


def test_pruned_rows_are_not_for_journals(make: Make) -> None:
    with pytest.raises(ValueError, match="pruned"):
        journal.pack(0, LINK, [canonical.seal(make())._replace(content=None)])


def test_a_newer_journal_says_so(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal.create(path, Header(first=0, format="spiritsafe-journal-2", link=LINK.hex(), log="00" * 16))
    with pytest.raises(InputError, match="form spiritsafe-journal-2, this version reads spiritsafe-journal-1"):
        Reader(path)


def test_what_is_no_journal_says_so(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for data in (b"", b"{}", b"\0" * HEADER_BYTES, b"\xff" * HEADER_BYTES):
        path.write_bytes(data)
        with pytest.raises(BrokenRecord, match="header"):
            Reader(path)
