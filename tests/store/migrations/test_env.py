"""Migrations run on the connection that the store hands over, inside its transaction."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, inspect

from spiritsafe.store.schema import MIGRATIONS


def config(connection: object = None) -> Config:
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.set_main_option("path_separator", "os")
    if connection is not None:
        made.attributes["connection"] = connection
    return made


def test_whoever_holds_the_transaction_can_still_take_it_all_back(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/x.db")
    with engine.connect() as connection:
        connection.connection.driver_connection.isolation_level = None
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        command.upgrade(config(connection), "head")
        assert inspect(connection).has_table("accounts")
        connection.exec_driver_sql("ROLLBACK")
        assert inspect(connection).get_table_names() == []
    engine.dispose()


def test_without_a_connection_there_is_nothing_to_migrate() -> None:
    with pytest.raises(KeyError, match="connection"):
        command.upgrade(config(), "head")
