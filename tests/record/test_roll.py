"""A journal becomes a segment, and a crash in between is mended by doing it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spiritsafe.errors import BrokenRecord
from spiritsafe.record import canonical, journal, manifest
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.journal import Header, Journal
from spiritsafe.record.keys import Signer
from spiritsafe.record.layout import journal_path, layout, manifest_path
from spiritsafe.record.roll import CHUNK, roll_journal
from spiritsafe.record.segment import read_tables, rows

Make = Callable[..., Exchange]
SIGNER = Signer(bytes(32))
LINK = canonical.first_link(bytes(16)).hex()


def write(folder: Path, make: Make, first: int, count: int, link: str = LINK) -> Journal:
    path = journal_path(folder, first)
    journal.create(path, Header(first=first, link=link, log="00" * 16))
    log = Journal.resume(path)
    for number in range(first, first + count):
        log.write([canonical.seal(make(number))])
    log.finish()
    return log


def test_rows_move_from_the_journal_to_the_segment(tmp_path: Path, make: Make) -> None:
    count = 2 * CHUNK + 3
    log = write(tmp_path, make, 0, count)
    pauses: list[int] = []
    made = roll_journal(log.path, None, SIGNER, lambda: pauses.append(1))
    assert made == manifest.check(manifest_path(tmp_path, 0), SIGNER.public)
    assert (made.seal.first, made.seal.rows, made.seal.previous) == (0, count, "")
    assert (made.seal.link_before, made.seal.link_after) == (LINK, log.link.hex())
    assert (made.seal.earliest, made.seal.latest) == (make(0).time, make(count - 1).time)
    assert made.file == manifest.file_entry(tmp_path / made.file.name, made.file.name)
    stored = [s for table in read_tables(tmp_path / made.file.name) for s in rows(table)]
    assert [canonical.open_row(s.row) for s in stored] == [make(number) for number in range(count)]
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".parquet"]
    assert len(pauses) == 3


def test_seals_follow_on_each_other(tmp_path: Path, make: Make) -> None:
    first = write(tmp_path, make, 0, 2)
    second = write(tmp_path, make, 2, 2, first.link.hex())
    one = roll_journal(first.path, None, SIGNER)
    two = roll_journal(second.path, one, SIGNER)
    assert two.seal.previous == manifest.seal_digest(one.seal)
    assert two.seal.link_before == one.seal.link_after


@pytest.mark.parametrize("leftover", ["segment-000000000000.parquet.tmp", "segment-000000000000.parquet"])
def test_a_half_made_segment_is_made_again(tmp_path: Path, make: Make, leftover: str) -> None:
    log = write(tmp_path, make, 0, 2)
    (tmp_path / leftover).write_bytes(b"half")
    made = roll_journal(log.path, None, SIGNER)
    assert made.file == manifest.file_entry(tmp_path / made.file.name, made.file.name)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_broken_journal_is_left_as_it_is(tmp_path: Path, make: Make) -> None:
    log = write(tmp_path, make, 0, 3)
    data = log.path.read_bytes()
    log.path.write_bytes(data.replace(b"What is 1", b"what is 1"))
    with pytest.raises(BrokenRecord, match="row 1"):
        roll_journal(log.path, None, SIGNER)
    assert [p.name for p in tmp_path.iterdir()] == [log.path.name]
    assert not layout(tmp_path).files
