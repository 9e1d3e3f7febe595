"""The thread that makes rows durable: it alone touches the journal and the head."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from concurrent.futures import Future, InvalidStateError
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from spiritsafe.errors import BrokenRecord, ResourceError
from spiritsafe.record import disk
from spiritsafe.record.canonical import Row
from spiritsafe.record.head import FORMAT, Head, HeadFile
from spiritsafe.record.journal import Header, Journal, create
from spiritsafe.record.layout import head_path, journal_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from spiritsafe.errors import SpiritsafeError
    from spiritsafe.record.keys import Signer
    from spiritsafe.record.recover import Opened
    from spiritsafe.record.roller import Roller

SIGN_SECONDS = 1.0
RETRY_SECONDS = 5.0
GROUP_ROWS = 1024
GROUP_BYTES = 4 << 20

Waiter = Future[int] | asyncio.Future[int]


class Limits(NamedTuple):
    """When a journal is rolled into a segment: after so many rows, bytes or seconds, whichever comes first."""

    rows: int
    bytes: int
    seconds: float


class Pending(NamedTuple):
    """A row to append, and who waits for its number."""

    row: Row
    waiter: Waiter


class Roll(NamedTuple):
    """A wish to seal all rows so far; ``done`` hears when it is fulfilled."""

    done: Future[None]


class Close(NamedTuple):
    """The wish to end."""


class Writer:
    """Owns a log's journal and head. ``put`` hands it work; ``rows`` and ``link`` say what is durable.

    Everything that waits is written as one group and synced once. After at most a second of being
    durable a row is covered by a signed head. ``trouble`` tells of a head that can't be signed or a
    journal that can't be begun; neither stops rows from being kept.
    """

    def __init__(self, folder: Path, opened: Opened, signer: Signer, roller: Roller, limits: Limits) -> None:
        self.rows, self.link = opened.journal.row, opened.journal.link
        self.trouble: SpiritsafeError | None = None
        self._folder = folder
        self._log = opened.log
        self._signer = signer
        self._roller = roller
        self._limits = limits
        self._journal: Journal | None = opened.journal
        self._path, self._first = opened.journal.path, opened.first
        self._roll_at = time.monotonic() + limits.seconds if self.rows > self._first else None
        self._refusal: SpiritsafeError | None = None
        self._again_at = 0.0
        self._number = opened.head.number if opened.head else 0
        self._signed_at = 0.0
        self._unsigned = False
        self._head = HeadFile(head_path(folder))
        # From now on rows may follow, so the head must no longer say that the log is closed.
        self._write_head(closed=False)
        self._queue: queue.SimpleQueue[Pending | Roll | Close] = queue.SimpleQueue()
        self.put = self._queue.put
        self._thread = threading.Thread(target=self._run, name="spiritsafe-record", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until ``Close``, the last that was put, is done: everything is durable, the last head signed."""
        self._thread.join()
        self._head.close()

    def _run(self) -> None:
        while True:
            pending, wish = self._take()
            if pending:
                self._commit(pending)
            if isinstance(wish, Roll):
                self._begin_journal(wish.done)
            elif self._full():
                self._begin_journal(None)
            if isinstance(wish, Close):
                self._finish()
                return
            if self._unsigned and time.monotonic() >= self._signed_at + SIGN_SECONDS:
                self._sign(closed=False)

    def _take(self) -> tuple[list[Pending], Roll | Close | None]:
        """Wait for something to do, and take as much of it as goes into one group."""
        pending: list[Pending] = []
        size = 0
        with contextlib.suppress(queue.Empty):
            item = self._queue.get(timeout=self._patience())
            while isinstance(item, Pending):
                pending.append(item)
                size += len(item.row.envelope) + len(item.row.content or b"")
                if len(pending) >= GROUP_ROWS or size >= GROUP_BYTES:
                    return pending, None
                item = self._queue.get_nowait()
            return pending, item
        return pending, None

    def _patience(self) -> float | None:
        """How long to wait for work before something else is due; None for ever."""
        due = [self._signed_at + SIGN_SECONDS] if self._unsigned else []
        if self._roll_at is not None:
            due.append(self._roll_at)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _commit(self, pending: Sequence[Pending]) -> None:
        waiters = [item.waiter for item in pending]
        if self._refusal is not None and time.monotonic() < self._again_at:
            _settle(waiters, 0, self._refusal)
            return
        try:
            if self._journal is None:
                self._journal = Journal.resume(self._path)
            first = self._journal.row
            self._journal.write([item.row for item in pending])
        except OSError as error:
            _settle(waiters, 0, self._refused(disk.trouble(error, self._path)))
            return
        except BrokenRecord as error:
            _settle(waiters, 0, error)
            return
        self._refusal = None
        self.rows, self.link = self._journal.row, self._journal.link
        self._unsigned = True
        if self._roll_at is None:
            self._roll_at = time.monotonic() + self._limits.seconds
        _settle(waiters, first, None)

    def _refused(self, error: ResourceError) -> ResourceError:
        """Take back what was half written; where that fails, what the disk holds is in doubt until read again."""
        if self._journal is not None:
            try:
                self._journal.undo()
            except OSError:
                self._doubt(error)
        return error

    def _doubt(self, error: ResourceError) -> None:
        if self._journal is not None:
            self._journal.abandon()
        self._journal = None
        self._refusal, self._again_at = error, time.monotonic() + RETRY_SECONDS

    def _full(self) -> bool:
        journal = self._journal
        if journal is None or self._roll_at is None:
            return False
        now = time.monotonic()
        full = journal.row - self._first >= self._limits.rows or journal.end >= self._limits.bytes
        return now >= self._roll_at or (full and now >= self._again_at)

    def _begin_journal(self, done: Future[None] | None) -> None:
        """Begin a new journal and have the old one rolled; an empty one is left as it is."""
        old = self._journal
        if old is None or old.row == self._first:
            if done is not None:
                self._roller.put(None, done)
            return
        path = journal_path(self._folder, old.row)
        try:
            create(path, Header(first=old.row, link=old.link.hex(), log=self._log))
            self._journal = Journal.resume(path)
        except OSError as error:
            # The old journal goes on, so nothing of the new one may stay.
            with contextlib.suppress(OSError):
                path.unlink()
            self.trouble = disk.trouble(error, path)
            self._again_at = self._roll_at = time.monotonic() + RETRY_SECONDS
            if done is not None:
                done.set_exception(self.trouble)
            return
        with contextlib.suppress(OSError):  # its rows are durable; only spare zeros remain
            old.finish()
        self._roller.put(self._path, done)
        self._path, self._first, self._roll_at = path, self._journal.row, None

    def _finish(self) -> None:
        if self._journal is None:
            return
        with contextlib.suppress(OSError):
            self._journal.finish()
        self._sign(closed=True)

    def _sign(self, *, closed: bool) -> None:
        self._unsigned = False
        try:
            if self._journal is not None and not closed and self._journal.removed:
                raise FileNotFoundError(2, "the journal was deleted while it was written", str(self._path))
            self._write_head(closed=closed)
        except OSError as error:
            self._unsigned = not closed
            self.trouble = disk.trouble(error, self._folder)
        else:
            self.trouble = None

    def _write_head(self, *, closed: bool) -> None:
        self._signed_at = time.monotonic()
        self._number += 1
        head = Head(
            closed=closed,
            format=FORMAT,
            key=self._signer.public.fingerprint,
            link=self.link.hex(),
            log=self._log,
            number=self._number,
            rows=self.rows,
            time=datetime.now(UTC),
        )
        self._head.write(head, self._signer)


def _settle(waiters: Sequence[Waiter], first: int, error: SpiritsafeError | None) -> None:
    """Give each waiter its row number, or all the error; each event loop is woken once."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[int], int]]] = {}
    for number, waiter in enumerate(waiters, first):
        if isinstance(waiter, asyncio.Future):
            loops.setdefault(waiter.get_loop(), []).append((waiter, number))
            continue
        with contextlib.suppress(InvalidStateError):  # the caller has cancelled it; the row stays
            if error is None:
                waiter.set_result(number)
            else:
                waiter.set_exception(error)
    for loop, waiting in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop has ended; nobody waits any more
            loop.call_soon_threadsafe(_settle_here, waiting, error)


def _settle_here(waiting: Sequence[tuple[asyncio.Future[int], int]], error: SpiritsafeError | None) -> None:
    for future, number in waiting:
        if future.done():
            continue
        if error is None:
            future.set_result(number)
        else:
            future.set_exception(error)
