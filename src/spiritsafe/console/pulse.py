"""The last minutes' traffic, second by second, read from the record as it grows."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

import msgspec

from spiritsafe.errors import SpiritsafeError
from spiritsafe.record.layout import layout
from spiritsafe.record.reader import follow, read

if TYPE_CHECKING:
    from pathlib import Path

    from spiritsafe.record.exchange import Exchange

KEPT = 300
ACTIVE = 60
"""Seconds within which an account counts as active."""


class Second(msgspec.Struct, frozen=True):
    """What the record took in within one second; ``at`` is seconds since the epoch."""

    at: int
    served: int = 0
    missed: int = 0
    tokens: int = 0
    active: int = 0


class Pulse:
    """Follows the record in ``data`` from its newest journal on, in a thread that starts with the first listener.

    An exchange counts in the second its request came in, while that second is kept; one that comes in after
    its second was told (a long answer) counts in the present one. ``clock`` is seconds since the epoch.
    """

    def __init__(self, data: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = data / "record"
        self._clock = clock
        self._lock = Lock()
        self._stop = Event()
        self._thread: Thread | None = None
        self._counts: dict[int, Second] = {}
        self._seen: dict[str, int] = {}
        self._told = 0

    def start(self) -> None:
        """Begin to follow, unless that is done already; begins anew if the record could not be read.

        Returns once what was recorded before has been counted.
        """
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._stop.clear()
                self._counts.clear()
                row = self._catch_up()
                self._thread = Thread(target=self._run, args=(row,), name="console-pulse", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def seconds(self, after: int = 0) -> list[Second]:
        """The kept seconds after ``after`` up to the last whole one, oldest first; at least one when ``after`` is 0."""
        last = int(self._clock()) - 1
        with self._lock:
            self._told = max(self._told, last)
            active = sum(at > last - ACTIVE for at in self._seen.values())
            return [
                msgspec.structs.replace(self._counts.get(at, Second(at)), active=active)
                for at in range(max(after + 1, last - KEPT + 1), last + 1)
            ]

    def _catch_up(self) -> int:
        """Count the newest journal's rows, each in the second it came in; returns the row after them."""
        row = 0
        try:
            row = max(layout(self._folder).journals, default=0)
            for number, exchange in read(self._folder, start=row):
                self._count(exchange, int(exchange.time.timestamp()))
                row = number + 1
        except SpiritsafeError:  # nothing was recorded yet, or it can't be read: the follower waits for more
            pass
        return row

    def _run(self, first: int) -> None:
        try:
            for batch in follow(self._folder, first, self._stop):
                with self._lock:
                    for _, exchange in batch:
                        came = int(exchange.time.timestamp())
                        self._count(exchange, came if came > self._told else int(self._clock()))
                    self._forget()
        except SpiritsafeError:  # the next listener tries again; the page of the record says what is wrong
            return

    def _count(self, exchange: Exchange, at: int) -> None:
        if at < self._clock() - KEPT:
            return
        before = self._counts.get(at, Second(at))
        served = exchange.status is None or exchange.status < 400
        self._counts[at] = Second(
            at,
            before.served + served,
            before.missed + (not served),
            before.tokens + (exchange.prompt_tokens or 0) + (exchange.completion_tokens or 0),
        )
        self._seen[exchange.account_id] = max(at, self._seen.get(exchange.account_id, 0))

    def _forget(self) -> None:
        oldest = int(self._clock()) - KEPT
        for at in [at for at in self._counts if at < oldest]:
            del self._counts[at]
        for account_id in [a for a, at in self._seen.items() if at < oldest]:
            del self._seen[account_id]
