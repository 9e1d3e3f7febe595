"""From a URL to a SQLAlchemy engine, and from the databases' errors to ours."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url

from spiritsafe.errors import InputError, ResourceError, SpiritsafeError, UsageError

LOCK_SECONDS = 5.0
_FORMS = "Use sqlite:///PATH or postgresql://USER@HOST/NAME."


def parse_url(url: str) -> URL:
    """Check ``url`` and fill in the driver. Raises ``UsageError`` naming the two forms that work."""
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        where = re.sub(r":[^:@/]*@", ":***@", url)  # what can't be parsed may still hold a password
        raise UsageError("not a database URL", remedy=_FORMS, where=where) from error
    where = shown(parsed)
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        if not parsed.database or parsed.database == ":memory:":
            remedy = "Name a file: sqlite:///PATH."
            raise UsageError("a database in memory can't be shared between processes", remedy=remedy, where=where)
        return parsed.set(drivername="sqlite+pysqlite")
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise UsageError(f"no support for {parsed.drivername!r} databases", remedy=_FORMS, where=where)


def shown(url: URL) -> str:
    """The URL as it may be printed: passwords are hidden."""
    if "password" in url.query:
        url = url.update_query_dict({"password": "***"})
    return url.render_as_string(hide_password=True)


def make_engine(url: URL, lock_seconds: float = LOCK_SECONDS) -> Engine:
    """An engine whose connections are set up the house's way; nothing is connected yet.

    A transaction waits at most ``lock_seconds`` for another's lock, on both databases.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, lock_seconds)
    return _postgres(url, lock_seconds)


def _sqlite(url: URL, lock_seconds: float) -> Engine:
    assert url.database is not None
    path = Path(url.database)
    if not path.parent.is_dir():
        remedy = "Create the folder, or correct the path."
        raise ResourceError(f"there is no folder {path.parent}", remedy=remedy, where=shown(url))
    _create_private(path)
    engine = create_engine(url, pool_timeout=lock_seconds, connect_args={"timeout": lock_seconds})

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver would begin on its own, too late to take the write lock first
        connection.execute("PRAGMA foreign_keys = ON")
        # FULL, not NORMAL: with NORMAL a power cut may undo the last commits, and a revocation that was
        # acknowledged must hold. It costs one fsync a commit, and commits here are few.
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later can't wait for the lock: SQLite refuses it outright.
        writes = connection.get_execution_options().get("spiritsafe_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _create_private(path: Path) -> None:
    """Make the file readable by its owner alone before SQLite makes it readable by all; -wal and -shm inherit it."""
    with suppress(OSError):  # it exists, or it can't be made and opening it says so in SQLite's own words
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _postgres(url: URL, lock_seconds: float) -> Engine:
    patience = max(1, round(lock_seconds))
    arguments: dict[str, Any] = {"connect_timeout": patience, "tcp_user_timeout": patience * 2000}
    for name in url.query:
        arguments.pop(name, None)  # whoever wrote it in the URL meant it
    try:
        engine = create_engine(url, pool_timeout=lock_seconds, pool_pre_ping=True, connect_args=arguments)
    except ModuleNotFoundError as error:
        remedy = "Install it: pip install 'spiritsafe[postgres]'."
        raise UsageError("the PostgreSQL driver (psycopg) is not installed", remedy=remedy, where=shown(url)) from error

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("spiritsafe_writes", False):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(lock_seconds * 1000)}")

    return engine


def use_wal(engine: Engine, lock_seconds: float = LOCK_SECONDS) -> None:
    """Put a SQLite file into write-ahead mode, where readers and the writer don't wait for each other."""
    deadline = time.monotonic() + lock_seconds
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        while True:
            try:
                mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                break
            except sqlite3.OperationalError as error:  # SQLite doesn't wait for this lock by itself
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
    if mode != "wal":
        raise ResourceError(
            f"SQLite can't keep a write-ahead log here (it stays in {mode!r} mode)",
            remedy="Put the data on a local disk, not a network folder, or use PostgreSQL.",
            where=shown(engine.url),
        )


# What a database's own code means: SQLite's names, PostgreSQL's SQLSTATE. The longest that fits the start wins.
_MEANING: dict[str, tuple[type[SpiritsafeError], str, str]] = {
    "SQLITE_BUSY": (
        ResourceError,
        "the database is locked by another process",
        "Try again; if it stays locked, find the program that keeps a transaction open.",
    ),
    "SQLITE_FULL": (ResourceError, "the disk is full", "Free some space; nothing of this change was kept."),
    "SQLITE_CANTOPEN": (ResourceError, "the database can't be opened", "Check the path and its permissions."),
    "SQLITE_READONLY": (ResourceError, "the database can't be written", "Check the permissions of file and folder."),
    "SQLITE_IOERR": (ResourceError, "the disk failed", "Check the disk and its space; nothing of this was kept."),
    "SQLITE_NOTADB": (InputError, "the file is not a SQLite database", "Name another file, or move this one away."),
    "SQLITE_CORRUPT": (InputError, "the database is damaged", "Restore it from a backup."),
    "08": (
        ResourceError,
        "the database can't be reached",
        "Check that the server runs, and host, user, password and database name in the URL.",
    ),
    "25006": (ResourceError, "the database can't be written", "Use the primary's URL, not a read-only standby's."),
    "42501": (ResourceError, "the user lacks a right on the database", "Grant it what the message names."),
    "53": (ResourceError, "the database server is out of something", "Give it what the message names."),
    "53100": (ResourceError, "the database server's disk is full", "Free some space; nothing of this was kept."),
    "55P03": (
        ResourceError,
        "the database is locked by another process",
        "Try again; if it stays locked, find the session that holds it (pg_locks).",
    ),
    "57P": (ResourceError, "the database server is shutting down or starting", "Try again in a moment."),
}
_UNREACHABLE = _MEANING["08"]  # errors while connecting come without a code
_OTHER = (ResourceError, "the database can't do this", "See what it says; restore its tables if they were changed.")


def explain(error: exc.SQLAlchemyError | sqlite3.Error, where: str) -> SpiritsafeError:
    """Our error for a database's one; the driver's own words are kept in brackets."""
    if isinstance(error, exc.TimeoutError):
        remedy = "Use fewer threads at once, or look for one that keeps a transaction open."
        return ResourceError("all connections to the database are in use", remedy=remedy, where=where)
    origin = error.orig if isinstance(error, exc.DBAPIError) else error
    code = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None)
    if isinstance(origin, sqlite3.Error):
        code = code or "SQLITE_CANTOPEN"
    matches = [known for known in _MEANING if code and code.startswith(known)]
    if matches:
        kind, message, remedy = _MEANING[max(matches, key=len)]
    else:
        kind, message, remedy = _OTHER if code else _UNREACHABLE
    words = " ".join(str(origin).split())
    return kind(f"{message} ({words})" if words else message, remedy=remedy, where=where)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Let no database's own exception out, save for a broken constraint: callers know what theirs means."""
    try:
        yield
    except exc.IntegrityError:
        raise
    except (exc.DBAPIError, exc.TimeoutError, sqlite3.Error) as error:
        raise explain(error, where) from error
