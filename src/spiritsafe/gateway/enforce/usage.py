"""What keys and grants have used: counted in memory, written to the store in batches, whole again after a crash.

Usage is what the record says was answered. A file beside the record (``usage.json``) holds the number of the
first row that no batch has covered; at the next start the rows from there on are read and added. A crash
between the store's commit and the writing of that file counts one batch twice: against the customer by a few
seconds' usage, where the other order would lose it. Other gateways on the same store are seen with a delay
of one batch.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.record.exchange import Exchange
from spiritsafe.store import Store

Counts = dict[str, tuple[int, int]]
"""Requests and tokens by id."""


class _Mark(msgspec.Struct):
    row: int


class Line(msgspec.Struct, frozen=True):
    """One recorded exchange as usage: what a batch adds."""

    key_id: str
    grant_id: str | None
    tokens: int


def line_of(exchange: Exchange) -> Line | None:
    """What an exchange counts for; nothing if it was refused or failed, its tokens so far if the client left."""
    counted = exchange.status is None or exchange.status < 400 or exchange.status == 499
    if not counted or exchange.key_id is None:
        return None
    tokens = (exchange.prompt_tokens or 0) + (exchange.completion_tokens or 0)
    return Line(exchange.key_id, exchange.grant_id, tokens)


class Tally:
    """Totals by id since the process began, and how much of each the store has."""

    def __init__(self) -> None:
        self._noted: Counts = {}
        self._flushed: Counts = {}
        self._base: Counts = {}

    def note(self, name: str, tokens: int) -> None:
        requests, total = self._noted.get(name, (0, 0))
        self._noted[name] = (requests + 1, total + tokens)

    def used(self, name: str) -> tuple[int, int]:
        """What the store knew beyond our own, and all that was noted here."""
        base, noted = self._base.get(name, (0, 0)), self._noted.get(name, (0, 0))
        return base[0] + noted[0], base[1] + noted[1]

    def unflushed(self) -> Counts:
        """What the store does not have yet."""
        found: Counts = {}
        for name, (requests, tokens) in self._noted.items():
            flushed = self._flushed.get(name, (0, 0))
            if flushed != (requests, tokens):
                found[name] = (requests - flushed[0], tokens - flushed[1])
        return found

    def flushed(self, batch: Counts) -> None:
        """``batch`` is in the store now."""
        for name, (requests, tokens) in batch.items():
            before = self._flushed.get(name, (0, 0))
            self._flushed[name] = (before[0] + requests, before[1] + tokens)

    def know(self, stored: Counts) -> None:
        """Take the store's totals, which hold what we flushed."""
        self._base = {
            name: (requests - self._flushed.get(name, (0, 0))[0], tokens - self._flushed.get(name, (0, 0))[1])
            for name, (requests, tokens) in stored.items()
        }

    def forget(self) -> None:
        """Begin anew, for another day."""
        self._noted, self._flushed, self._base = {}, {}, {}


class Book:
    """The usage of one gateway. Used on the event loop alone; ``lock`` keeps batches and reloads apart."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._file = folder / "usage.json"
        self.lock = asyncio.Lock()
        self.keys = Tally()
        self.grants = Tally()
        self.day = _today()
        self._row = 0
        self._written = -1
        self.reread = False
        """Whether the day's totals are read again after each batch, because some key has a quota for the day."""

    def note(self, line: Line | None, row: int) -> None:
        """Count one recorded exchange, which is row ``row`` of the record."""
        self._row = max(self._row, row + 1)
        if line is None:
            return
        self.keys.note(line.key_id, line.tokens)
        if line.grant_id is not None:
            self.grants.note(line.grant_id, line.tokens)

    async def flush(self) -> None:
        """Write what has come together since the last time. Raises ``ResourceError`` if the store can't."""
        async with self.lock:
            await self._flush()

    async def _flush(self) -> None:
        keys, grants, row = self.keys.unflushed(), self.grants.unflushed(), self._row
        if keys or grants:
            await asyncio.to_thread(self._store.add_usage, keys, grants)
            self.keys.flushed(keys)
            self.grants.flushed(grants)
        if row != self._written:
            await asyncio.to_thread(self._mark, row)
            self._written = row
        if self.day != _today():
            self.day = _today()
            self.keys.forget()
        if self.reread:
            self.keys.know(await asyncio.to_thread(self._read_day))

    async def reload(self) -> None:
        """Read the day's totals from the store; the caller holds ``lock``."""
        self.keys.know(await asyncio.to_thread(self._read_day))

    def _read_day(self) -> Counts:
        rows = self._store.usage(since=self.day)
        return {usage.key_id: (usage.requests, usage.tokens) for usage in rows if usage.day == self.day}

    def _mark(self, row: int) -> None:
        aside = self._file.with_suffix(".tmp")
        try:
            aside.write_bytes(msgspec.json.encode(_Mark(row)))
            os.replace(aside, self._file)
        except OSError as error:
            remedy = "Free some space or mend the folder's permissions; usage is written again with the next batch."
            raise ResourceError(f"can't be written: {error.strerror}", remedy=remedy, where=str(self._file)) from error

    def covered(self) -> int:
        """The first row of the record that no batch has covered. Raises ``InputError`` if the file is damaged."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Mark).row
        except FileNotFoundError:
            return 0
        except msgspec.DecodeError as error:
            remedy = 'Write {"row": N} into it, N being the number of the first row whose usage the store lacks.'
            raise InputError(f"not what a gateway wrote: {error}", remedy=remedy, where=str(self._file)) from error

    def reconcile(self, rows: Iterable[tuple[int, Exchange]], known: set[str]) -> int:
        """Count the rows that a crash kept from the store; returns how many counted.

        Rows of another day count for their grants alone: the store adds what it is given to today.
        """
        found = 0
        for row, exchange in rows:
            line = line_of(exchange)
            if line is not None and line.key_id not in known:
                line = None
            if line is not None and exchange.time.astimezone(UTC).date() != self.day:
                if line.grant_id is not None:
                    self.grants.note(line.grant_id, line.tokens)
                line = None
            found += line is not None
            self.note(line, row)
        return found


def _today() -> date:
    return datetime.now(UTC).date()
