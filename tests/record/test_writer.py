"""Everything that waits becomes one group; refusals reach all who wait, and nothing of a refused row stays."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spiritsafe.errors import ResourceError
from spiritsafe.record import disk, journal, writer
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.head import newest
from spiritsafe.record.layout import head_path, layout
from spiritsafe.record.log import SealedLog, read, verify
from spiritsafe.record.recover import signer_of

Make = Callable[..., Exchange]


class Disk:
    """Counts syncs, and refuses them while ``refuses`` says so."""

    def __init__(self) -> None:
        self.syncs = 0
        self.refuses = False

    def sync(self, fd: int) -> None:
        if self.refuses:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.syncs += 1
        os.fdatasync(fd)


@pytest.fixture
def shaky(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(journal, "sync", made.sync)
    return made


def test_what_waits_is_synced_together(tmp_path: Path, make: Make, shaky: Disk) -> None:
    with SealedLog.open(tmp_path / "record") as log:
        log.append(make(0)).result()
        before = shaky.syncs
        futures = [log.append(make(number)) for number in range(1, 500)]
        assert [future.result() for future in futures] == list(range(1, 500))
        assert shaky.syncs - before < 100


def test_a_failed_sync_refuses_and_the_log_goes_on(
    tmp_path: Path, make: Make, shaky: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.05)
    folder = tmp_path / "data" / "record"
    with SealedLog.open(folder) as log:
        log.append(make(0)).result()
        shaky.refuses = True
        refused = [log.append(make(number)) for number in range(1, 4)]
        for future in refused:
            with pytest.raises(ResourceError, match="input/output error"):
                future.result()
        with pytest.raises(ResourceError):  # not tried again at once
            log.append(make(4)).result()
        assert log.rows == 1
        shaky.refuses = False
        time.sleep(0.06)
        row = log.append(make(5)).result()
    kept = {number: exchange.exchange_id for number, exchange in read(folder)}
    assert kept[0] == "x0"
    assert kept[row] == "x5"
    assert verify(folder).verdict == "intact"


async def test_an_event_loop_hears_of_its_rows(tmp_path: Path, make: Make, shaky: Disk) -> None:
    with SealedLog.open(tmp_path / "record") as log:
        assert await asyncio.gather(*(log.write(make(n)) for n in range(50))) == list(range(50))
        cancelled = log.write(make(50))
        cancelled.cancel()
        assert await log.write(make(51)) == 51
        shaky.refuses = True
        with pytest.raises(ResourceError):
            await log.write(make(52))
        shaky.refuses = False


def test_a_loop_that_ended_and_a_cancelled_future_hold_nobody_up(tmp_path: Path, make: Make) -> None:
    async def leave(log: SealedLog) -> None:
        log.write(make(0))

    with SealedLog.open(tmp_path / "record") as log:
        asyncio.run(leave(log))
        log.append(make(1)).cancel()
        assert log.append(make(2)).result() == 2


def test_the_head_is_signed_within_a_second_without_more_rows(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SIGN_SECONDS", 0.05)
    folder = tmp_path / "data" / "record"
    with SealedLog.open(folder) as log:
        log.append(make(0)).result()
        public = signer_of(folder).public
        for _ in range(100):
            found = newest(head_path(folder), public)
            if found is not None and found[0].rows == 1:
                break
            time.sleep(0.05)
        assert found is not None
        assert (found[0].rows, found[0].closed) == (1, False)
    found = newest(head_path(folder), public)
    assert found is not None
    assert found[0].closed


@pytest.mark.parametrize("limit", [{"roll_rows": 10}, {"roll_bytes": 4096}, {"roll_seconds": 0.0}])
def test_a_full_or_old_journal_is_rolled(tmp_path: Path, make: Make, limit: dict[str, int]) -> None:
    folder = tmp_path / "data" / "record"
    with SealedLog.open(folder, pace=0.0, **limit) as log:  # type: ignore[arg-type]
        for number in range(30):
            log.append(make(number)).result()
        log.roll()
        assert log.trouble is None
    assert len(layout(folder).manifests) >= 2
    assert verify(folder).verdict == "intact"


def test_an_idle_journal_is_rolled_too(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "data" / "record"
    with SealedLog.open(folder, pace=0.0, roll_seconds=0.1) as log:
        log.append(make(0)).result()
        for _ in range(200):
            if layout(folder).manifests:
                break
            time.sleep(0.05)
    assert list(layout(folder).manifests) == [0]


def test_a_journal_that_cannot_be_begun_leaves_the_old_one_going(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / "record"
    with SealedLog.open(folder, pace=0.0) as log:
        log.append(make(0)).result()

        def full(path: Path, *_: object) -> None:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(writer, "create", full)
            with pytest.raises(ResourceError, match="no space left"):
                log.roll()
        assert isinstance(log.trouble, ResourceError)
        assert list(layout(folder).journals) == [0]
        assert log.append(make(1)).result() == 1
        log.roll()
    assert list(layout(folder).manifests) == [0]
    assert verify(folder).rows == 2


def test_a_head_that_cannot_be_written_is_told(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SIGN_SECONDS", 0.0)
    folder = tmp_path / "data" / "record"
    with SealedLog.open(folder) as log:
        with monkeypatch.context() as patch:

            def refuse(*_: object) -> None:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))

            patch.setattr(writer.HeadFile, "write", refuse)
            log.append(make(0)).result()
            for _ in range(100):
                if log.trouble is not None:
                    break
                time.sleep(0.01)
            assert isinstance(log.trouble, ResourceError)
            assert "read-only" in str(log.trouble)
        log.append(make(1)).result()
    assert verify(folder).verdict == "intact"


def test_a_journal_deleted_under_the_writer_is_told(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SIGN_SECONDS", 0.0)
    folder = tmp_path / "data" / "record"
    log = SealedLog.open(folder)
    log.append(make(0)).result()
    (folder / "journal-000000000000.log").unlink()
    for _ in range(100):
        with_trouble = log.append(make(1))
        with_trouble.exception()
        if log.trouble is not None:
            break
        time.sleep(0.01)
    assert "deleted" in str(log.trouble)
    log.close()
    assert disk.is_held(folder / "lock") is False
