"""API keys in the store."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, RowMapping, insert, select, update

from spiritsafe.errors import UsageError
from spiritsafe.store.accounts import get_account
from spiritsafe.store.base import Base, given, missing, need_counts, need_future
from spiritsafe.store.models import NO_LIMITS, Key, Limits
from spiritsafe.store.secrets import hash_secret, is_secret, new_id, new_secret
from spiritsafe.store.tables import keys


def get_key(connection: Connection, key_id: str) -> Key:
    """The key of that id; raises ``UsageError`` when there is none."""
    row = connection.execute(select(keys).where(keys.c.key_id == key_id)).mappings().first()
    if row is None:
        raise missing("key", key_id)
    return _key(row)


class Keys(Base):
    """The part of ``Store`` about API keys."""

    def add_key(
        self, account_id: str, *, name: str | None = None, expires: datetime | None = None, limits: Limits = NO_LIMITS
    ) -> tuple[Key, str]:
        """Make a key for an active account. The secret beside it is kept nowhere: this is its only showing."""
        need_counts(msgspec.structs.asdict(limits))
        need_future("the key's expiry", expires, self._clock())
        with self._change() as connection:
            if get_account(connection, account_id).status != "active":
                remedy = f"Open it first: spiritsafe account change {account_id} --status active."
                raise UsageError(f"the account {account_id!r} is closed", remedy=remedy)
            return self._insert(connection, account_id, name, expires, limits)

    def _insert(
        self, connection: Connection, account_id: str, name: str | None, expires: datetime | None, limits: Limits
    ) -> tuple[Key, str]:
        prefix, secret = new_secret()
        key_id = new_id("key")
        values = {
            "key_id": key_id,
            "account_id": account_id,
            "prefix": prefix,
            "hash": hash_secret(secret),
            "created": self._clock(),
            "name": name,
            "expires": expires,
        }
        connection.execute(insert(keys).values(values | msgspec.structs.asdict(limits)))
        return get_key(connection, key_id), secret

    def find_key(self, secret: str | bytes) -> Key | None:
        """The key of a secret, or of its hash; None for one that was never given out.

        Expired and revoked keys are found too, so that the answer can say which: see ``Key.state``.
        """
        if isinstance(secret, str):
            if not is_secret(secret):
                return None
            secret = hash_secret(secret)
        with self._read() as connection:
            row = connection.execute(select(keys).where(keys.c.hash == secret)).mappings().first()
        return None if row is None else _key(row)

    def keys(self, *, account_id: str | None = None) -> list[Key]:
        """The keys, oldest first; those of one account alone, if given."""
        query = select(keys).order_by(keys.c.created, keys.c.key_id)
        if account_id is not None:
            query = query.where(keys.c.account_id == account_id)
        with self._read() as connection:
            return [_key(row) for row in connection.execute(query).mappings()]

    def key(self, key_id: str) -> Key:
        """The key of that id; raises ``UsageError`` when there is none."""
        with self._read() as connection:
            return get_key(connection, key_id)

    def change_key(
        self,
        key_id: str,
        *,
        name: str | UnsetType | None = UNSET,
        expires: datetime | UnsetType | None = UNSET,
        limits: Limits | UnsetType = UNSET,
    ) -> Key:
        """Change what is given; ``limits`` replaces them all. A revoked key stays as it is."""
        values = given(name=name, expires=expires)
        if expires is not UNSET:
            need_future("the key's expiry", expires, self._clock())
        if limits is not UNSET:
            need_counts(msgspec.structs.asdict(limits))
            values |= msgspec.structs.asdict(limits)
        with self._change() as connection:
            _need_live(get_key(connection, key_id), self._clock(), revoked_only=True)
            if values:
                connection.execute(update(keys).where(keys.c.key_id == key_id).values(values))
            return get_key(connection, key_id)

    def rotate_key(self, key_id: str, *, overlap: timedelta) -> tuple[Key, str]:
        """Make a key that takes over from a live one, with its name, limits and length of life; both work for
        ``overlap``, then the old one expires (earlier, if it would have anyway).
        """
        if overlap < timedelta(0):
            raise UsageError("the overlap is negative", remedy="Give 0 or more; with 0 the old key ends at once.")
        now = self._clock()
        with self._change() as connection:
            old = get_key(connection, key_id)
            _need_live(old, now)
            if old.rotated_to is not None:
                remedy = f"Rotate {old.rotated_to} instead."
                raise UsageError(f"{key_id} has been rotated to {old.rotated_to} already", remedy=remedy)
            expires = None if old.expires is None else now + (old.expires - old.created)
            new, secret = self._insert(connection, old.account_id, old.name, expires, old.limits)
            ends = now + overlap if old.expires is None else min(old.expires, now + overlap)
            connection.execute(update(keys).where(keys.c.key_id == key_id).values(expires=ends, rotated_to=new.key_id))
            return new, secret

    def revoke_key(self, key_id: str) -> Key:
        """End a key for good, at once; again on a revoked one changes nothing."""
        with self._change() as connection:
            first = (keys.c.key_id == key_id) & keys.c.revoked.is_(None)
            connection.execute(update(keys).where(first).values(revoked=self._clock()))
            return get_key(connection, key_id)


def _need_live(key: Key, now: datetime, *, revoked_only: bool = False) -> None:
    state = key.state(now)
    if state == "revoked" or (state == "expired" and not revoked_only):
        remedy = f"Add another: spiritsafe key add {key.account_id}."
        raise UsageError(f"the key {key.key_id} is {state}", remedy=remedy)


def _key(row: RowMapping) -> Key:
    fields = {str(name): value for name, value in row.items()}
    limits = Limits(**{name: fields.pop(name) for name in Limits.__struct_fields__})
    return Key(**fields, limits=limits)
