"""Accounts in the store."""

from __future__ import annotations

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, exc, insert, select, update

from spiritsafe.errors import UsageError
from spiritsafe.store.base import Base, given, missing, need_text
from spiritsafe.store.models import Account, AccountStatus
from spiritsafe.store.secrets import new_id
from spiritsafe.store.tables import accounts, keys


def get_account(connection: Connection, account_id: str) -> Account:
    """The account of that id; raises ``UsageError`` when there is none."""
    row = connection.execute(select(accounts).where(accounts.c.account_id == account_id)).mappings().first()
    if row is None:
        raise missing("account", account_id)
    return Account(**row)


class Accounts(Base):
    """The part of ``Store`` about accounts."""

    def add_account(
        self, name: str, *, payment: str | None = None, kind: str | None = None, account_id: str | None = None
    ) -> Account:
        """Keep a new account. Two may share a name; ``account_id`` is drawn unless it is given."""
        need_text(name=name)
        account = Account(
            account_id=account_id or new_id("acc"), name=name, created=self._clock(), payment=payment, kind=kind
        )
        with self._change() as connection:
            try:
                connection.execute(insert(accounts).values(_columns(account)))
            except exc.IntegrityError as error:
                remedy = "Choose another, or change the one there is."
                raise UsageError(f"there already is an account {account.account_id!r}", remedy=remedy) from error
            return get_account(connection, account.account_id)

    def accounts(self, *, status: AccountStatus | None = None, name: str | None = None) -> list[Account]:
        """The accounts, oldest first; those with a status or a name alone, if given."""
        query = select(accounts).order_by(accounts.c.created, accounts.c.account_id)
        if status is not None:
            query = query.where(accounts.c.status == status)
        if name is not None:
            query = query.where(accounts.c.name == name)
        with self._read() as connection:
            return [Account(**row) for row in connection.execute(query).mappings()]

    def account(self, account_id: str) -> Account:
        """The account of that id; raises ``UsageError`` when there is none."""
        with self._read() as connection:
            return get_account(connection, account_id)

    def change_account(
        self,
        account_id: str,
        *,
        name: str | UnsetType = UNSET,
        payment: str | UnsetType | None = UNSET,
        kind: str | UnsetType | None = UNSET,
        status: AccountStatus | UnsetType = UNSET,
    ) -> Account:
        """Change what is given. Closing an account revokes its keys; they stay revoked when it is opened again."""
        if name is not UNSET:
            need_text(name=name)
        with self._change() as connection:
            get_account(connection, account_id)
            values = given(name=name, payment=payment, kind=kind, status=status)
            if values:
                connection.execute(update(accounts).where(accounts.c.account_id == account_id).values(values))
            if status == "closed":
                theirs = (keys.c.account_id == account_id) & keys.c.revoked.is_(None)
                connection.execute(update(keys).where(theirs).values(revoked=self._clock()))
            return get_account(connection, account_id)


def _columns(account: Account) -> dict[str, object]:
    return {name: getattr(account, name) for name in account.__struct_fields__}
