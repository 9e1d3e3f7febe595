"""Grants in the store: who may distil what."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, insert, or_, select, update

from spiritsafe.errors import UsageError
from spiritsafe.store.accounts import get_account
from spiritsafe.store.base import Base, given, missing, need_counts, need_future, need_text
from spiritsafe.store.models import Grant
from spiritsafe.store.secrets import new_id
from spiritsafe.store.tables import grants


def get_grant(connection: Connection, grant_id: str) -> Grant:
    """The grant of that id; raises ``UsageError`` when there is none."""
    row = connection.execute(select(grants).where(grants.c.grant_id == grant_id)).mappings().first()
    if row is None:
        raise missing("grant", grant_id)
    return Grant(**row)


class Grants(Base):
    """The part of ``Store`` about grants."""

    def add_grant(
        self,
        account_id: str,
        *,
        model: str,
        purpose: str,
        by: str,
        expires: datetime | None = None,
        quota_requests: int | None = None,
        quota_tokens: int | None = None,
    ) -> Grant:
        """Permit an account to distil the models whose name fits the pattern ``model``."""
        need_text(model=model, purpose=purpose, by=by)
        need_counts({"quota_requests": quota_requests, "quota_tokens": quota_tokens})
        need_future("the grant's expiry", expires, self._clock())
        values = {
            "grant_id": new_id("grt"),
            "account_id": account_id,
            "model": model,
            "purpose": purpose,
            "by": by,
            "created": self._clock(),
            "expires": expires,
            "quota_requests": quota_requests,
            "quota_tokens": quota_tokens,
        }
        with self._change() as connection:
            get_account(connection, account_id)
            connection.execute(insert(grants).values(values))
            return get_grant(connection, str(values["grant_id"]))

    def grants(self, *, account_id: str | None = None, live: bool = False) -> list[Grant]:
        """The grants, oldest first; those of one account, or the live ones, alone if asked."""
        now = self._clock()
        query = select(grants).order_by(grants.c.created, grants.c.grant_id)
        if account_id is not None:
            query = query.where(grants.c.account_id == account_id)
        if live:
            query = query.where(grants.c.revoked.is_(None), or_(grants.c.expires.is_(None), grants.c.expires > now))
        with self._read() as connection:
            found = [Grant(**row) for row in connection.execute(query).mappings()]
        return [grant for grant in found if not live or grant.live(now)]

    def grant(self, grant_id: str) -> Grant:
        """The grant of that id; raises ``UsageError`` when there is none."""
        with self._read() as connection:
            return get_grant(connection, grant_id)

    def change_grant(
        self,
        grant_id: str,
        *,
        purpose: str | UnsetType = UNSET,
        expires: datetime | UnsetType | None = UNSET,
        quota_requests: int | UnsetType | None = UNSET,
        quota_tokens: int | UnsetType | None = UNSET,
    ) -> Grant:
        """Change what is given. Account and model stay: another permit is another grant."""
        values = given(purpose=purpose, expires=expires, quota_requests=quota_requests, quota_tokens=quota_tokens)
        if purpose is not UNSET:
            need_text(purpose=purpose)
        if expires is not UNSET:
            need_future("the grant's expiry", expires, self._clock())
        need_counts({name: value for name, value in values.items() if name.startswith("quota")})
        with self._change() as connection:
            if get_grant(connection, grant_id).revoked is not None:
                raise UsageError(f"the grant {grant_id} is revoked", remedy="Add another: spiritsafe grant add.")
            if values:
                connection.execute(update(grants).where(grants.c.grant_id == grant_id).values(values))
            return get_grant(connection, grant_id)

    def revoke_grant(self, grant_id: str) -> Grant:
        """End a grant for good, at once; again on a revoked one changes nothing."""
        with self._change() as connection:
            first = (grants.c.grant_id == grant_id) & grants.c.revoked.is_(None)
            connection.execute(update(grants).where(first).values(revoked=self._clock()))
            return get_grant(connection, grant_id)
