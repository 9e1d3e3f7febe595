"""The tables that the code speaks of are those that the migrations make."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect

from spiritsafe.store.tables import metadata


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    yield made
    made.dispose()


def named(engine: Engine) -> dict[str, object]:
    """What Alembic's comparison leaves out: the names of constraints, and conditions of indexes."""
    found = inspect(engine)
    return {
        table: (
            found.get_pk_constraint(table)["name"],
            sorted(str(check["name"]) for check in found.get_check_constraints(table)),
            sorted(str(key["name"]) for key in found.get_foreign_keys(table)),
            sorted(str(unique["name"]) for unique in found.get_unique_constraints(table)),
            sorted(
                str(index["name"])
                for index in found.get_indexes(table)
                if any(str(option).endswith("_where") for option in index["dialect_options"])
            ),
        )
        for table in metadata.tables
    }


def test_migrations_and_tables_agree(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_constraints_have_the_same_names_in_both(engine: Engine) -> None:
    straight = create_engine("sqlite://")
    metadata.create_all(straight)
    expected = named(straight)
    straight.dispose()
    assert named(engine) == expected
    assert expected["cases"][-1] == ["uq_cases_open_subject"]
    assert expected["events"][1] == ["ck_events_belongs"]
