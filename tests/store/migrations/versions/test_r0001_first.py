"""The first migration, by what its tables refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, exc, text

from spiritsafe.store import open_store

NOW = "2026-03-02 12:00:00"
CASE = "INSERT INTO cases VALUES ('{}', 'a', '2026-03-02 12:00:00', '{}')"
DECISION = (
    "INSERT INTO decisions VALUES "
    "('d', '2026-03-02 12:00:00', 'a', 'account', 'verify', 'r', '[]', '[]', 'p', 'in_force', 0, NULL, NULL)"
)


@pytest.fixture
def engine(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/spiritsafe.db"
    open_store(url).close()
    made = create_engine(url)
    yield made
    made.dispose()


def test_the_generation_is_one_row_at_zero(engine) -> None:
    with engine.begin() as connection:
        assert connection.execute(text("SELECT * FROM generation")).all() == [(1, 0)]
    with pytest.raises(exc.IntegrityError), engine.begin() as connection:
        connection.execute(text("INSERT INTO generation VALUES (2, 0)"))


def test_a_subject_has_one_open_case_and_any_number_of_closed_ones(engine) -> None:
    with engine.begin() as connection:
        for case_id, status in (("1", "closed"), ("2", "closed"), ("3", "open")):
            connection.execute(text(CASE.format(case_id, status)))
    with pytest.raises(exc.IntegrityError), engine.begin() as connection:
        connection.execute(text(CASE.format("4", "open")))


def test_an_event_belongs_to_a_decision_or_a_case(engine) -> None:
    line = "INSERT INTO events (time, kind, by, text, case_id) VALUES (:now, 'note', 'ann', 'x', :case)"
    with engine.begin() as connection:
        connection.execute(text(CASE.format("1", "open")))
        connection.execute(text(line), {"now": NOW, "case": "1"})
    with pytest.raises(exc.IntegrityError), engine.begin() as connection:
        connection.execute(text(line), {"now": NOW, "case": None})


def test_a_decision_can_not_be_taken_out(engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(DECISION))
    with pytest.raises(exc.IntegrityError, match="decisions are never deleted"), engine.begin() as connection:
        connection.execute(text("DELETE FROM decisions"))
