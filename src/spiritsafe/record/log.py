"""The sealed log: every exchange, appended by one writer, chained, signed, durable before it is acknowledged."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.record import disk
from spiritsafe.record.canonical import seal
from spiritsafe.record.content import reducer
from spiritsafe.record.layout import lock_path
from spiritsafe.record.prune import Pruned, prune
from spiritsafe.record.reader import follow, frame, read
from spiritsafe.record.recover import recover, signer_of
from spiritsafe.record.roller import Roller
from spiritsafe.record.verify import Verification, verify
from spiritsafe.record.writer import Close, Limits, Pending, Roll, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from spiritsafe.errors import SpiritsafeError
    from spiritsafe.record.exchange import Content, Exchange
    from spiritsafe.record.writer import Waiter

ROLL_ROWS = 100_000
ROLL_BYTES = 64 << 20
ROLL_SECONDS = 3600.0
PACE_SECONDS = 0.005


class SealedLog:
    """The writing end of a log; one a folder, in one process.

    ``append`` may be called from any thread, ``write`` from a running event loop. Rows get their numbers
    in the order in which they are handed over. While the disk refuses, rows are refused with
    ResourceError and nothing of them stays; once it takes writes again, so does the log.
    """

    def __init__(self, folder: Path, content: Content, limits: Limits, pace: float, lock: int) -> None:
        self._folder = folder
        self._lock = lock
        self._closed = False
        self._gate = threading.Lock()  # nothing is put behind the wish to close
        self._reduce = reducer(content, folder.parent)
        signer = signer_of(folder)
        opened = recover(folder, signer)
        self._roller = Roller(opened.last, signer, pace)
        for journal in opened.waiting:
            self._roller.put(journal)
        try:
            self._writer = Writer(folder, opened, signer, self._roller, limits)
        except BaseException:
            self._roller.close()
            opened.journal.abandon()
            raise

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        content: Content = "full",
        roll_rows: int = ROLL_ROWS,
        roll_bytes: int = ROLL_BYTES,
        roll_seconds: float = ROLL_SECONDS,
        pace: float = PACE_SECONDS,
    ) -> SealedLog:
        """Open the log in ``folder`` (by habit ``DATA/record``) for writing, creating it or mending a crash.

        Keys lie in ``folder/../keys``. ``pace`` is the rest in seconds that rolling takes between chunks,
        0 where nothing else runs. Raises ResourceError when another process writes to it or the disk
        refuses, BrokenRecord when it is not as it was written, InputError for a newer version.
        """
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            lock = disk.lock(lock_path(folder), "writes to this record")
        except OSError as error:
            raise disk.trouble(error, folder) from error
        try:
            return cls(folder, content, Limits(roll_rows, roll_bytes, roll_seconds), pace, lock)
        except OSError as error:
            os.close(lock)
            raise disk.trouble(error, folder) from error
        except BaseException:
            os.close(lock)
            raise

    @property
    def rows(self) -> int:
        """How many rows are durable."""
        return self._writer.rows

    @property
    def head(self) -> bytes:
        """The link after the last durable row (32 bytes)."""
        return self._writer.link

    @property
    def trouble(self) -> SpiritsafeError | None:
        """What needs attention although rows are kept (a head not signed, a segment not rolled), or None."""
        return self._writer.trouble or self._roller.trouble

    def append(self, exchange: Exchange) -> Future[int]:
        """Queue an exchange; the future gives its row number once it is durable.

        The future's exception is a ResourceError when the disk refused. Raises InputError for an exchange
        that could not be read again, ResourceError when the log is closed.
        """
        future: Future[int] = Future()
        self._put(exchange, future)
        return future

    def write(self, exchange: Exchange) -> asyncio.Future[int]:
        """As ``append``, for an event loop: all rows of a group wake their loop once."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._put(exchange, future)
        return future

    def write_all(self, exchanges: Sequence[tuple[Exchange, asyncio.Future[int]]]) -> None:
        """As ``write`` for several, each with the future that waits for it: they reach the writer's thread together,
        so that one sync does for all. What ``write`` raises, the futures get.

        One after the other they would not: hashing a long text lets the writer run, and it takes what is there.
        """
        pending: list[Pending] = []
        for exchange, waiter in exchanges:
            try:
                pending.append(Pending(seal(self._reduce(exchange)), waiter))
            except (InputError, RecursionError) as error:
                if not waiter.done():
                    waiter.set_exception(error)
        with self._gate:
            if not self._closed:
                for each in pending:
                    self._writer.put(each)
                return
        closed = self._closed_error()
        for each in pending:
            if not each.waiter.done():
                each.waiter.set_exception(closed)

    def roll(self) -> None:
        """Seal all rows so far into a segment; returns when it is on the disk. Raises what stood in the way."""
        done: Future[None] = Future()
        with self._gate:
            self._check_open()
            self._writer.put(Roll(done))
        done.result()

    def close(self) -> None:
        """Make all rows durable, sign the last head and let the folder go. Doing it again does nothing."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._writer.put(Close())
        self._writer.join()
        self._roller.close()
        os.close(self._lock)

    def __enter__(self) -> SealedLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(self, exchange: Exchange, waiter: Waiter) -> None:
        pending = Pending(seal(self._reduce(exchange)), waiter)
        with self._gate:
            self._check_open()
            self._writer.put(pending)

    def _check_open(self) -> None:
        if self._closed:
            raise self._closed_error()

    def _closed_error(self) -> ResourceError:
        return ResourceError("the record is closed", remedy="Open it again", where=str(self._folder))


__all__ = ["Pruned", "SealedLog", "Verification", "follow", "frame", "prune", "read", "verify"]
