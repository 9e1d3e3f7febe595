"""Counting what keys and grants have used."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date
from typing import Any

from sqlalchemy import Connection, bindparam, exc, select, update
from sqlalchemy.dialects import postgresql, sqlite

from spiritsafe.errors import UsageError
from spiritsafe.store.base import Base
from spiritsafe.store.models import Usage
from spiritsafe.store.tables import grants, keys, usage

Counts = Mapping[str, tuple[int, int]]
"""Requests and tokens by id."""


class Counting(Base):
    """The part of ``Store`` about usage. It leaves the generation alone: nobody's permission changed."""

    def add_usage(self, by_key: Counts, by_grant: Counts | None = None) -> None:
        """Add what was used since the last call, all or nothing; keys count for today (UTC), grants for good.

        Any number of processes may add at once. Raises ``UsageError`` for a key that the store doesn't have.
        """
        today = self._clock().astimezone(UTC).date()
        # In one order everywhere, so that two who add to the same rows can't wait for each other.
        key_rows = [
            {"key_id": key_id, "day": today, "requests": requests, "tokens": tokens}
            for key_id, (requests, tokens) in sorted(by_key.items())
        ]
        grant_rows = [
            {"id": grant_id, "requests": requests, "tokens": tokens}
            for grant_id, (requests, tokens) in sorted((by_grant or {}).items())
        ]
        if not key_rows and not grant_rows:
            return
        with self._write() as connection:
            try:
                _add_to_keys(connection, key_rows)
            except exc.IntegrityError as error:
                remedy = "Count only for keys that find_key has returned."
                raise UsageError("usage of a key that the store doesn't have", remedy=remedy) from error
            if grant_rows:
                connection.execute(
                    update(grants)
                    .where(grants.c.grant_id == bindparam("id"))
                    .values(
                        used_requests=grants.c.used_requests + bindparam("requests"),
                        used_tokens=grants.c.used_tokens + bindparam("tokens"),
                    ),
                    grant_rows,
                )

    def usage(
        self, *, key_id: str | None = None, account_id: str | None = None, since: date | None = None
    ) -> list[Usage]:
        """What was used, by day and key; of one key, of one account, from one day (UTC) on, if given."""
        query = select(usage).order_by(usage.c.day, usage.c.key_id)
        if key_id is not None:
            query = query.where(usage.c.key_id == key_id)
        if account_id is not None:
            query = query.join(keys).where(keys.c.account_id == account_id)
        if since is not None:
            query = query.where(usage.c.day >= since)
        with self._read() as connection:
            return [Usage(**row) for row in connection.execute(query).mappings()]


def _add_to_keys(connection: Connection, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(usage)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["key_id", "day"],
            set_={
                "requests": usage.c.requests + insert.excluded.requests,
                "tokens": usage.c.tokens + insert.excluded.tokens,
            },
        ),
        rows,
    )
