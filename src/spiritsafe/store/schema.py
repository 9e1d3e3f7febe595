"""The tables are brought up to date when a store opens, once, however many processes open it together."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from spiritsafe.errors import InputError
from spiritsafe.store.engine import LOCK_SECONDS, shown, use_wal

MIGRATIONS = Path(__file__).parent / "migrations"
REVISIONS = ("0001",)
"""Every revision, oldest first: known without loading Alembic, which an up-to-date database never needs."""

_ADVISORY_LOCK = 0x5350_4952  # any fixed number; only the store's own migrations ask for it


def bring_up_to_date(engine: Engine, lock_seconds: float = LOCK_SECONDS) -> None:
    """Run the migrations that the database lacks, all or none.

    Raises ``InputError`` for a database that a newer version of this package has migrated.
    """
    if engine.dialect.name == "sqlite":
        use_wal(engine, lock_seconds)
    with engine.connect() as connection:
        if revision(connection) == REVISIONS[-1]:
            return
    with engine.connect().execution_options(spiritsafe_writes=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
        found = revision(connection)  # again: whoever held the lock before us may have done it
        if found is not None and found not in REVISIONS:
            raise InputError(
                f"the database has schema {found}, and this version knows up to {REVISIONS[-1]}: a newer one wrote it",
                remedy="Upgrade spiritsafe, or restore the backup made before the upgrade.",
                where=shown(engine.url),
            )
        if found != REVISIONS[-1]:
            _upgrade(connection)


def revision(connection: Connection) -> str | None:
    """The revision the database is at; None for one without our tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _upgrade(connection: Connection) -> None:
    # Loaded when there is something to migrate: it takes longer than all the rest of opening a store.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
