"""What all parts of the store share: its transactions, its clock, and how it says that something isn't there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET
from sqlalchemy import Connection, Engine

from spiritsafe.errors import UsageError
from spiritsafe.store.engine import shown, translated
from spiritsafe.store.generation import bump

LARGEST = 2**53
"""The largest count kept: every JSON reader still holds it exactly."""


def utcnow() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


class Base:
    """An engine with three kinds of transaction: reads, writes, and changes that gateways must notice."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock
        self._where = shown(engine.url)

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with translated(self._where), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with (
            translated(self._where),
            self._engine.connect().execution_options(spiritsafe_writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _change(self) -> Iterator[Connection]:
        with self._write() as connection:
            bump(connection)
            yield connection


def missing(kind: str, name: str) -> UsageError:
    """The error for an identifier that nothing has."""
    return UsageError(f"there is no {kind} {name!r}", remedy=f"'spiritsafe {kind} list' shows those there are.")


def given(**values: Any) -> dict[str, Any]:
    """Only the values that the caller set."""
    return {name: value for name, value in values.items() if value is not UNSET}


def need_text(**values: str) -> None:
    """Raise ``UsageError`` for a value that says nothing."""
    for name, value in values.items():
        if not value.strip():
            raise UsageError(f"the {name} is empty", remedy=f"Say the {name}.")


def need_counts(values: Mapping[str, int | None]) -> None:
    """Raise ``UsageError`` for a limit that is no positive number."""
    for name, value in values.items():
        if value is not None and not 1 <= value <= LARGEST:
            words = name.replace("_", " ")
            remedy = f"Give a number from 1 to {LARGEST}, or none for no limit; to block altogether, revoke."
            raise UsageError(f"{words} can't be {value}", remedy=remedy)


def need_future(name: str, value: datetime | None, now: datetime) -> None:
    """Raise ``UsageError`` for an end that has no zone or has passed."""
    if value is None:
        return
    need_zone(name, value)
    if value <= now:
        raise UsageError(f"{name} is in the past: {value.isoformat()}", remedy="Give a later time, or revoke.")


def need_zone(name: str, value: datetime) -> None:
    """Raise ``UsageError`` for a time that could mean any of several."""
    if value.tzinfo is None:
        raise UsageError(
            f"{name} has no time zone: {value.isoformat()}", remedy="Give it with an offset, or Z for UTC."
        )
