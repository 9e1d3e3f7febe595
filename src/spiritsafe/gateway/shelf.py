"""Which recorded completions their clients asked to have stored: an index beside the record, no second copy.

Text is read from the record by row. Metadata that a client attaches later and the marks of deletion live in this
index alone (``stored.db``); what was deleted is gone for the API, and stays sealed in the record until it is
pruned.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from spiritsafe.errors import ResourceError
from spiritsafe.gateway.wire.types import Ask, Payload

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCHEMA = """
CREATE TABLE IF NOT EXISTS completions (
    account_id TEXT NOT NULL, id TEXT NOT NULL, record_row INTEGER NOT NULL, created TEXT NOT NULL,
    model TEXT, metadata TEXT NOT NULL, deleted INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (account_id, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_row ON completions (account_id, record_row);
"""


class Kept(msgspec.Struct, frozen=True):
    """One stored completion: where it is in the record, and what its client noted about it."""

    id: str
    row: int
    created: datetime
    model: str | None
    metadata: Payload


class Shelf:
    """The index; its methods run the database in a thread. Raises ``ResourceError`` if it can't be used."""

    def __init__(self, path: Path) -> None:
        self._where = str(path)
        self._lock = threading.Lock()
        with self._translated():
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            path.chmod(0o600)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    async def put(self, account_id: str, completion_id: str, row: int, ask: Ask, created: datetime) -> None:
        """Store a completion that is row ``row`` of the record; durable on return."""
        metadata = msgspec.json.encode(ask.metadata).decode()
        values = (account_id, completion_id, row, created.isoformat(), ask.model, metadata)
        await self._run(
            "INSERT INTO completions (account_id, id, record_row, created, model, metadata) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET record_row = excluded.record_row, created = excluded.created, "
            "model = excluded.model, metadata = excluded.metadata, deleted = 0",
            values,
        )

    async def get(self, account_id: str, completion_id: str) -> Kept | None:
        """One of the account's completions; ``None`` if there is none or it was deleted."""
        rows = await self._run(f"{_SELECT} AND id = ?", (account_id, completion_id))
        return _kept(rows[0]) if rows else None

    async def page(
        self,
        account_id: str,
        *,
        after: str | None,
        limit: int,
        newest_first: bool,
        model: str | None,
        metadata: Payload,
    ) -> list[Kept]:
        """Up to ``limit`` of the account's completions in the order they were made, from behind ``after`` on."""
        query, values = _SELECT, [account_id]
        if after is not None:
            query += _OLDER if newest_first else _NEWER
            values += [account_id, after]
        if model is not None:
            query += " AND model = ?"
            values.append(model)
        for name, value in metadata.items():
            query += " AND EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND value = ?)"
            values += [name, value]
        query += " ORDER BY record_row DESC LIMIT ?" if newest_first else " ORDER BY record_row LIMIT ?"
        rows = await self._run(query, (*values, limit))
        return [_kept(row) for row in rows]

    async def annotate(self, account_id: str, completion_id: str, metadata: Payload) -> None:
        """Replace a completion's metadata."""
        text = msgspec.json.encode(metadata).decode()
        query = "UPDATE completions SET metadata = ? WHERE account_id = ? AND id = ? AND deleted = 0"
        await self._run(query, (text, account_id, completion_id))

    async def delete(self, account_id: str, completion_id: str) -> None:
        """Mark a completion as deleted."""
        query = "UPDATE completions SET deleted = 1, metadata = '{}' WHERE account_id = ? AND id = ?"
        await self._run(query, (account_id, completion_id))

    async def _run(self, query: str, values: tuple[object, ...]) -> list[tuple[str, int, str, str | None, str]]:
        def run() -> list[tuple[str, int, str, str | None, str]]:
            with self._lock, self._translated():
                return self._database.execute(query, values).fetchall()

        return await asyncio.to_thread(run)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            remedy = "Free some space or mend the file's permissions; it can be deleted, which forgets what was stored."
            raise ResourceError(
                f"the index of stored completions: {error}", remedy=remedy, where=self._where
            ) from error


_SELECT = "SELECT id, record_row, created, model, metadata FROM completions WHERE account_id = ? AND deleted = 0"
_OLDER = " AND record_row < (SELECT record_row FROM completions WHERE account_id = ? AND id = ?)"
_NEWER = " AND record_row > (SELECT record_row FROM completions WHERE account_id = ? AND id = ?)"


def _kept(row: tuple[str, int, str, str | None, str]) -> Kept:
    made = datetime.fromisoformat(row[2]).astimezone(UTC)
    return Kept(row[0], row[1], made, row[3], msgspec.json.decode(row[4]))
