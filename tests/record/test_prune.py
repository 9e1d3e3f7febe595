"""Old content goes, and every check of the log still holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spiritsafe.errors import BrokenRecord, InputError, ResourceError
from spiritsafe.record import disk, manifest
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.layout import manifest_path
from spiritsafe.record.log import SealedLog, frame, prune, read, verify

Make = Callable[..., Exchange]
Fill = Callable[..., Path]


def contents(folder: Path) -> list[str | None]:
    return [exchange.completion for _, exchange in read(folder)]


def test_older_content_goes_and_the_chain_holds(fill: Fill, make: Make) -> None:
    folder = fill(12, rolls=(5, 9))
    before = verify(folder)
    done = prune(folder, make(7).time)
    assert (done.rows, done.segments, done.waiting) == (7, 2, False)
    after = verify(folder)
    assert (after.verdict, after.rows, after.link, after.pruned) == ("intact", 12, before.link, 7)
    assert contents(folder) == [None] * 7 + [f"It is {2 * n}." for n in range(7, 12)]
    assert [exchange.prompt_tokens for _, exchange in read(folder)] == list(range(12))
    assert frame(folder).collect()["pruned"].sum() == 7
    left = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"What is 6 plus" not in left


def test_a_pruning_is_itself_recorded(fill: Fill, make: Make) -> None:
    folder = fill(6, rolls=(6,))
    whole = manifest.peek(manifest_path(folder, 0))
    prune(folder, make(2).time)
    prune(folder, make(4).time)
    made = manifest.peek(manifest_path(folder, 0))
    assert made.seal == whole.seal
    assert [(p.before, p.rows) for p in made.pruned] == [(make(2).time, 2), (make(4).time, 2)]
    assert made.pruned[0].replaced == whole.file.digest
    assert made.file.name == "segment-000000000000-3.parquet"
    assert sorted(path.name for path in folder.glob("*.parquet")) == [made.file.name]


def test_pruning_again_changes_nothing(fill: Fill, make: Make) -> None:
    folder = fill(12, rolls=(5, 9))
    prune(folder, make(7).time)
    files = {path.name: path.read_bytes() for path in folder.glob("segment-*")}
    assert prune(folder, make(7).time).rows == 0
    assert prune(folder, make(3).time).rows == 0
    assert files == {path.name: path.read_bytes() for path in folder.glob("segment-*")}


def test_rows_in_the_journal_are_sealed_first(fill: Fill, make: Make) -> None:
    folder = fill(6)
    assert prune(folder, make(100).time).rows == 6
    assert contents(folder) == [None] * 6
    assert verify(folder).segments == 1


def test_a_live_writer_is_not_disturbed(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "data" / "record"
    with SealedLog.open(folder, pace=0.0) as log:
        for number in range(4):
            log.append(make(number)).result()
        log.roll()
        log.append(make(4)).result()
        done = prune(folder, make(100).time)
        assert (done.rows, done.waiting) == (4, True)
        assert log.append(make(5)).result() == 5
        log.roll()
        assert prune(folder, make(100).time).rows == 2
    assert verify(folder).verdict == "intact"
    assert contents(folder) == [None] * 6


def test_an_interrupted_pruning_is_done_again(fill: Fill, make: Make) -> None:
    folder = fill(6, rolls=(6,))
    (folder / "segment-000000000000-2.parquet").write_bytes(b"half")
    (folder / "segment-000000000000-3.parquet.tmp").write_bytes(b"half")
    assert prune(folder, make(3).time).rows == 3
    assert sorted(path.name for path in folder.glob("*.parquet*")) == ["segment-000000000000-2.parquet"]
    assert verify(folder).verdict == "intact"


def test_a_changed_segment_is_not_pruned(fill: Fill, make: Make) -> None:
    folder = fill(6, rolls=(6,))
    path = folder / "segment-000000000000.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(BrokenRecord, match=r"segment-000000000000\.parquet"):
        prune(folder, make(3).time)
    assert path.read_bytes() == data


def test_one_pruning_at_a_time(fill: Fill, make: Make) -> None:
    folder = fill(3)
    with disk.locked(folder / "prune.lock", "prunes this record"), pytest.raises(ResourceError, match="prunes this"):
        prune(folder, make(3).time)


def test_the_time_needs_a_zone_and_the_folder_a_record(fill: Fill, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no time zone"):
        prune(fill(1), datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(InputError, match="no record"):
        prune(tmp_path / "none", datetime(2026, 1, 1, tzinfo=UTC) + timedelta())
