"""What a crash left is mended on opening; what no crash leaves is refused, by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spiritsafe.errors import BrokenRecord, ResourceError
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.keys import Signer
from spiritsafe.record.layout import journal_path
from spiritsafe.record.log import SealedLog, read, verify
from spiritsafe.record.recover import recover, signer_of

Make = Callable[..., Exchange]
Fill = Callable[..., Path]


def reopened(folder: Path, make: Make) -> int:
    """Open, append one, close; returns the rows there were. The log must be intact afterwards."""
    with SealedLog.open(folder, pace=0.0) as log:
        rows = log.rows
        assert log.append(make(rows)).result() == rows
    found = verify(folder)
    assert found.verdict == "intact", found
    assert [number for number, _ in read(folder)] == list(range(rows + 1))
    return rows


@pytest.mark.parametrize("rolls", [(), (5,), (12,), (5, 9)])
def test_a_closed_log_goes_on(fill: Fill, make: Make, rolls: tuple[int, ...]) -> None:
    assert reopened(fill(12, rolls=rolls), make) == 12


def copy_of_open(folder: Path, to: Path) -> Path:
    """Copy a log with its keys, as a crash would leave it at this moment."""
    shutil.copytree(folder.parent, to)
    return to / "record"


def test_a_crash_at_each_step_of_rolling_is_mended(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "data" / "record"
    with SealedLog.open(folder, pace=0.0) as log:
        for number in range(6):
            log.append(make(number)).result()
        before = copy_of_open(folder, tmp_path / "before")
        log.roll()
        after = copy_of_open(folder, tmp_path / "after")
    # the new journal is there, the old one not rolled
    shutil.copy(after / "journal-000000000006.log", before)
    halfway = tmp_path / "halfway"
    shutil.copytree(tmp_path / "before", halfway)
    # the segment has its name, but no manifest yet
    shutil.copy(after / "segment-000000000000.parquet", halfway / "record")
    # the manifest is there, the old journal not removed
    shutil.copy(before / "journal-000000000000.log", after)
    for crashed in (before, halfway / "record", after):
        assert verify(crashed).verdict == "intact"
        assert reopened(crashed, make) == 6
    assert not (after / "journal-000000000000.log").exists()


def test_half_made_files_are_removed(fill: Fill, make: Make) -> None:
    folder = fill(3)
    for name in ("journal-000000000003.log.tmp", "segment-000000000000.parquet.tmp"):
        (folder / name).write_bytes(b"half")
    reopened(folder, make)
    assert not list(folder.glob("*.tmp"))


def test_an_unfinished_end_is_cut_unless_the_log_was_closed(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "data" / "record"
    with SealedLog.open(folder, pace=0.0) as log:
        for number in range(3):
            log.append(make(number)).result()
        crashed = copy_of_open(folder, tmp_path / "crashed")
        end = log._writer._journal.end  # type: ignore[union-attr]
    for path, closed in ((crashed, False), (folder, True)):
        with (path / "journal-000000000000.log").open("r+b") as journal:
            journal.seek(end)
            journal.write(b"\xff\x00SAFE\x00\xff\x03")
        if closed:
            with pytest.raises(BrokenRecord, match="after the record was closed"):
                SealedLog.open(path)
        else:
            assert reopened(path, make) == 3


def test_rows_that_the_head_speaks_of_must_be_there(fill: Fill) -> None:
    folder = fill(12, rolls=(6,))
    path = journal_path(folder, 6)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(BrokenRecord, match=r"rows \d+ to 11 are missing"):
        SealedLog.open(folder)
    path.unlink()
    with pytest.raises(BrokenRecord, match="rows 6 to 11 are missing"):
        SealedLog.open(folder)


def test_missing_and_foreign_segments_are_named(fill: Fill, tmp_path: Path) -> None:
    folder = fill(12, rolls=(4, 8))
    shutil.copytree(tmp_path / "data", tmp_path / "other")
    manifest = folder / "segment-000000000004.json"
    manifest.rename(tmp_path / "kept")
    with pytest.raises(BrokenRecord, match="rows 4 to 7 are missing"):
        SealedLog.open(folder)
    (tmp_path / "kept").rename(manifest)
    journal = journal_path(folder, 8)
    journal.write_bytes(journal.read_bytes().replace(b'"log":"', b'"log":"0', 1))
    with pytest.raises(BrokenRecord, match="header"):
        SealedLog.open(folder)


def test_another_key_is_refused(fill: Fill, tmp_path: Path) -> None:
    folder = fill(3)
    key = tmp_path / "data" / "keys" / "record.key"
    text = key.read_text()
    key.write_text("ab" * 32)
    with pytest.raises(BrokenRecord, match=r"key\.pub: the public key"):
        SealedLog.open(folder)
    key.unlink()
    with pytest.raises(ResourceError, match="private key this record is signed with is missing"):
        SealedLog.open(folder)
    assert not key.exists()
    key.write_text(text)
    key.chmod(0o600)
    SealedLog.open(folder).close()


def test_recovering_tells_where_to_go_on(fill: Fill) -> None:
    folder = fill(12, rolls=(8,))
    signer = signer_of(folder)
    assert isinstance(signer, Signer)
    opened = recover(folder, signer)
    assert opened.last is not None
    assert opened.head is not None
    assert (opened.last.stop, opened.first, opened.journal.row, opened.head.rows) == (8, 8, 12, 12)
    assert opened.waiting == []
    opened.journal.abandon()
