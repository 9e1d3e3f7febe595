"""Noticing, cheaply and in any process, that something which gateways enforce has changed.

The number lives in the one row of the table ``generation`` and grows in the same transaction as the change.

- SQLite: ``PRAGMA data_version`` on a connection of its own says in about a microsecond whether anyone has
  committed since; only then is the row read. Nothing is ever stale.
- PostgreSQL: a thread listens for the notification sent with each change and reads the row. Stale by a
  network round trip; by ``HEARTBEAT`` (1 s) if the notification is lost, as behind a pooler that shares
  sessions. When the row could not be read for ``PATIENCE`` (10 s), asking raises ``ResourceError``:
  a gateway that no longer hears of revocations must not go on as if there were none.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, cast

from sqlalchemy import URL, Connection, Engine, exc, select, text, update

from spiritsafe.errors import ResourceError
from spiritsafe.store.engine import explain, shown, translated
from spiritsafe.store.tables import generation

if TYPE_CHECKING:
    import psycopg

HEARTBEAT = 1.0
PATIENCE = 10.0
CHANNEL = "spiritsafe_generation"


def bump(connection: Connection) -> None:
    """Count one change, and hold the row until the transaction ends: changes are serial."""
    connection.execute(update(generation).values(value=generation.c.value + 1))
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})


class Watch(Protocol):
    """What a store asks for its generation."""

    def current(self) -> int:
        """The newest number known; raises ``ResourceError`` if it can't be known."""

    def close(self) -> None:
        """Let go of connection and thread."""


def watch(engine: Engine) -> Watch:
    """The watch that fits the engine's database."""
    return SqliteWatch(engine.url) if engine.dialect.name == "sqlite" else PostgresWatch(engine)


class SqliteWatch:
    """See the module; safe to ask from several threads."""

    def __init__(self, url: URL) -> None:
        assert url.database is not None
        self._path = url.database
        self._where = shown(url)
        self._lock = threading.Lock()
        with translated(self._where):
            self._connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            self._cursor = self._connection.cursor()
            self._file = _identity(self._path)
            self._version, self._value = -1, -1

    def current(self) -> int:
        # A file that was moved away can still be read and written through its open handle, to no effect.
        if _identity(self._path) != self._file:
            raise ResourceError(
                "the database file was removed or replaced while in use",
                remedy="Put it back and restart.",
                where=self._where,
            )
        with self._lock:
            try:
                (version,) = self._cursor.execute("PRAGMA data_version").fetchone()
                if version != self._version:  # asked before the value is read: a commit in between shows next time
                    (self._value,) = self._cursor.execute("SELECT value FROM generation").fetchone()
                    self._version = version
            except sqlite3.Error as error:
                raise explain(error, self._where) from error
            return self._value

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class PostgresWatch:
    """See the module; its thread starts with the first question."""

    def __init__(self, engine: Engine, patience: float = PATIENCE) -> None:
        self._engine = engine
        self._patience = patience
        self._where = shown(engine.url)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._value = -1
        self._seen = 0.0

    def current(self) -> int:
        if self._thread is None:
            self._start()
        silence = time.monotonic() - self._seen
        if silence > self._patience:
            raise ResourceError(
                f"the database has not answered for {silence:.0f} seconds",
                remedy="Check that it runs. Until it answers nobody knows which keys were revoked, so none is valid.",
                where=self._where,
            )
        return self._value

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            with translated(self._where), self._engine.connect() as connection:
                self._note(connection.execute(select(generation.c.value)).scalar_one())
            self._thread = threading.Thread(target=self._run, name="spiritsafe-generation", daemon=True)
            self._thread.start()

    def _note(self, value: int) -> None:
        self._value, self._seen = value, time.monotonic()

    def _run(self) -> None:
        import psycopg  # noqa: PLC0415 - an extra, here for certain once the engine has connected

        while not self._stop.is_set():
            try:
                self._listen()
            except (exc.DBAPIError, exc.TimeoutError, psycopg.Error):  # current() says so when it lasts
                self._stop.wait(HEARTBEAT)

    def _listen(self) -> None:
        pooled = self._engine.raw_connection()
        connection = cast("psycopg.Connection[tuple[int]]", pooled.driver_connection)
        pooled.detach()  # ours from here on; the pool's limit doesn't count it
        with connection:
            connection.rollback()
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
            while not self._stop.is_set():
                row = connection.execute("SELECT value FROM generation").fetchone()
                assert row is not None
                self._note(row[0])
                for _ in connection.notifies(timeout=HEARTBEAT, stop_after=1):
                    pass

    def close(self) -> None:
        self._stop.set()
        if self._thread is None:
            return
        # Wakes the thread at once; without a database it ends by itself.
        with suppress(exc.DBAPIError, exc.TimeoutError), self._engine.begin() as connection:
            connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})
        self._thread.join(2 * HEARTBEAT)
