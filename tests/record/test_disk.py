"""Files appear whole, locks have one holder, and what the disk refuses is explained."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spiritsafe.errors import ResourceError
from spiritsafe.record import disk


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    disk.write_whole(path, b"one", mode=0o600)
    disk.write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_reading_stops_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    fd = os.open(path, os.O_RDWR)
    try:
        disk.write_all(fd, b"ab", 4)
        assert disk.read_all(fd, 4, 3) == b"3ab6"
        assert disk.read_all(fd, 100, 8) == b"89"
        disk.sync(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Free space"),
        (errno.EROFS, "Mount"),
        (errno.EACCES, "right to write"),
        (errno.EFBIG, "limit on file sizes"),
        (errno.EIO, "Check the disk"),
    ],
)
def test_each_refusal_has_its_remedy(number: int, remedy: str) -> None:
    error = disk.trouble(OSError(number, os.strerror(number)), Path("/data/record"))
    assert isinstance(error, ResourceError)
    assert remedy in error.remedy
    assert os.strerror(number).lower() in str(error)
    assert str(error).startswith("/data/record: ")


def test_a_lock_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with disk.locked(path, "holds this"):
        assert disk.is_held(path)
        with pytest.raises(ResourceError, match=rf"another process \(pid {os.getpid()}\) holds this"):
            disk.lock(path, "holds this")
    assert not disk.is_held(path)
    with disk.locked(path, "holds this"):
        pass


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not disk.is_held(path)
    code = f"from pathlib import Path; from spiritsafe.record import disk; disk.lock(Path({str(path)!r}), 'x')"
    subprocess.run([sys.executable, "-c", code], check=True)
    with disk.locked(path, "holds this"):
        pass
