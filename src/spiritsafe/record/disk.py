"""Writing so that it stays written: whole files at once, data synced, folders synced."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
import time
from typing import TYPE_CHECKING

from spiritsafe.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Somebody who asks whether a lock is held holds it for an instant.
_LOCK_TRIES, _LOCK_PAUSE = 5, 0.02

_REMEDIES = {
    errno.ENOSPC: "Free space on the disk; the record goes on by itself once there is room",
    errno.EDQUOT: "Raise the quota or free space; the record goes on by itself once there is room",
    errno.EFBIG: "Raise the limit on file sizes, or roll the record earlier",
    errno.EROFS: "Mount the disk for writing",
    errno.EACCES: "Give this user the right to write to the folder",
    errno.EPERM: "Give this user the right to write to the folder",
}


def trouble(error: OSError, where: Path) -> ResourceError:
    """Say what the disk refused, and what to do about it."""
    reason = (error.strerror or str(error)).lower()
    remedy = _REMEDIES.get(error.errno or 0, "Check the disk")
    return ResourceError(f"the record can't be written: {reason}", remedy=remedy, where=str(where))


def sync(fd: int) -> None:
    """Return once the file's data is on the disk. macOS needs its own call for that."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_folder(folder: Path) -> None:
    """Return once the folder's entries are on the disk."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset``; a short write is continued."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def read_all(fd: int, size: int, offset: int) -> bytes:
    """Read ``size`` bytes at ``offset``, fewer only at the end of the file."""
    data = os.pread(fd, size, offset)
    while len(data) < size:
        more = os.pread(fd, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put a file there at once: written aside, synced, renamed, its folder synced."""
    aside = path.with_name(path.name + ".tmp")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        write_all(fd, data, 0)
        os.fsync(fd)
    finally:
        os.close(fd)
    publish(aside, path)


def publish(aside: Path, path: Path) -> None:
    """Give a synced file its name."""
    os.replace(aside, path)
    sync_folder(path.parent)


@contextlib.contextmanager
def locked(path: Path, purpose: str) -> Iterator[None]:
    """Hold a folder's lock, or raise ResourceError that names the process which holds it."""
    fd = lock(path, purpose)
    try:
        yield
    finally:
        os.close(fd)


def lock(path: Path, purpose: str) -> int:
    """Take a lock that ends with this process or when the returned descriptor is closed."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE)
            continue
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd
    holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
    os.close(fd)
    raise ResourceError(
        f"another process (pid {holder}) {purpose}",
        remedy="Stop it first, or use another data folder",
        where=str(path.parent),
    )


def is_held(path: Path) -> bool:
    """Say whether some process holds the lock; asking holds it for an instant, which ``lock`` waits out."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
