"""Where everything lies: the data folder, and the database in it or elsewhere. Every verb opens them here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spiritsafe.errors import ResourceError, UsageError

if TYPE_CHECKING:
    from spiritsafe.store import Account, Key, Store

FOLDER = Path("spiritsafe-data")
DATABASE = "spiritsafe.db"

Data = Annotated[
    Path,
    typer.Option(
        "--data", envvar="SPIRITSAFE_DATA", metavar="DIR", help="The data folder: record, keys, and the database."
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="SPIRITSAFE_DATABASE",
        metavar="URL",
        help="The database, if not DIR/spiritsafe.db: postgresql://USER@HOST/NAME or sqlite:///PATH.",
    ),
]


def make_folder(data: Path) -> None:
    """Make the data folder, for its owner alone, if it isn't there."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            f"the data folder can't be made: {error.strerror}",
            remedy="Choose another with --data, or check the permissions.",
            where=str(data),
        ) from error


def database_url(data: Path, database: str | None) -> str:
    """The URL of the store: ``database`` if given, else the SQLite file in the data folder."""
    return database or f"sqlite:///{data / DATABASE}"


@contextmanager
def opened(data: Path, database: str | None, *, create: bool = False) -> Iterator[Store]:
    """Open the store, and close it at the end.

    Only with ``create`` is a data folder made; otherwise a folder that isn't there is a ``UsageError``, since a
    mistyped one would look like one with nothing in it.
    """
    from spiritsafe.store import open_store

    if create and not database:
        make_folder(data)
    elif not database and not (data / DATABASE).exists():
        raise UsageError(
            "there is no spiritsafe data here",
            remedy="Name the folder with --data, or begin one: spiritsafe account add NAME.",
            where=str(data),
        )
    with open_store(database_url(data, database)) as store:
        yield store


def account_named(store: Store, name: str) -> Account:
    """The account whose id, or whose name, is ``name``; raises ``UsageError`` for none or several."""
    found = [account for account in store.accounts() if name in (account.account_id, account.name)]
    exact = [account for account in found if account.account_id == name]
    if len(found) > 1 and not exact:
        ids = ", ".join(account.account_id for account in found[:5])
        raise UsageError(f"{len(found)} accounts are named {name!r}", remedy=f"Give the id: {ids}.")
    return (exact or found)[0] if found else store.account(name)


def key_named(store: Store, name: str) -> Key:
    """The key whose id, or whose printed start (``ssk_abcd2345``), is ``name``."""
    keys = store.keys()
    found = [key for key in keys if name in (key.key_id, key.prefix)]
    return found[0] if len(found) == 1 else store.key(name)
