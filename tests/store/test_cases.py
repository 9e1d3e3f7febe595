"""Cases, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine

from spiritsafe.errors import UsageError
from spiritsafe.store.cases import start_case
from spiritsafe.store.models import Event

if TYPE_CHECKING:
    from spiritsafe.store import Store


def test_a_case_tells_its_story_oldest_first(store: Store, clock) -> None:
    opened = store.open_case("acc_1", "ann", "looks like a harvest")
    clock.move(hours=1)
    store.note(opened.case_id, "bob", "asked them")
    clock.move(hours=1)
    store.close_case(opened.case_id, "ann", "a benchmark run")
    case = store.case(opened.case_id)
    assert (case.subject, case.status) == ("acc_1", "closed")
    assert [(e.kind, e.by, e.text) for e in case.events] == [
        ("opened", "ann", "looks like a harvest"),
        ("note", "bob", "asked them"),
        ("closed", "ann", "a benchmark run"),
    ]
    assert [e.time for e in case.events] == sorted(e.time for e in case.events)
    assert case.events[-1].time == clock.now


def test_cases_are_listed_newest_first_and_by_status_or_subject(store: Store, clock) -> None:
    one = store.open_case("acc_1", "ann").case_id
    clock.move(hours=1)
    two = store.open_case("ring_1", "ann").case_id
    store.close_case(one, "ann", "done")
    assert [c.case_id for c in store.cases()] == [two, one]
    assert [c.case_id for c in store.cases(status="open")] == [two]
    assert [c.case_id for c in store.cases(subject="acc_1")] == [one]


def test_a_subject_has_at_most_one_open_case(store: Store) -> None:
    one = store.open_case("acc_1", "ann")
    with pytest.raises(UsageError, match=f"has an open case, {one.case_id}"):
        store.open_case("acc_1", "bob")
    store.close_case(one.case_id, "ann", "done")
    two = store.open_case("acc_1", "bob")
    with pytest.raises(UsageError, match=f"has an open case, {two.case_id}"):
        store.reopen_case(one.case_id, "ann", "wait")
    store.close_case(two.case_id, "bob", "done")
    assert store.reopen_case(one.case_id, "ann", "wait").status == "open"
    assert len(store.cases()) == 2


def test_whoever_opens_second_at_the_same_moment_gets_none(store: Store, url: str, clock) -> None:
    case = store.open_case("acc_1", "ann")
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        assert start_case(connection, "acc_1", Event(time=clock.now, kind="opened", by="bob")) is None
    engine.dispose()
    assert store.cases() == [case]


def test_a_closed_case_takes_notes_but_is_closed_once(store: Store) -> None:
    case_id = store.open_case("acc_1", "ann").case_id
    store.close_case(case_id, "ann", "done")
    with pytest.raises(UsageError, match="is closed"):
        store.close_case(case_id, "ann", "again")
    assert [e.kind for e in store.note(case_id, "bob", "for later").events] == ["opened", "closed", "note"]


def test_people_say_who_they_are_and_what_they_mean(store: Store) -> None:
    case_id = store.open_case("acc_1", "ann").case_id
    with pytest.raises(UsageError, match="person is empty"):
        store.open_case("acc_2", "")
    with pytest.raises(UsageError, match="subject is empty"):
        store.open_case(" ", "ann")
    with pytest.raises(UsageError, match="note is empty"):
        store.note(case_id, "ann", " ")
    with pytest.raises(UsageError, match="reason is empty"):
        store.close_case(case_id, "ann", "")
    assert store.case(case_id).status == "open"


def test_a_case_that_is_not_there_is_named(store: Store) -> None:
    for ask in (
        store.case,
        lambda c: store.note(c, "ann", "x"),
        lambda c: store.close_case(c, "ann", "x"),
        lambda c: store.reopen_case(c, "ann", "x"),
    ):
        with pytest.raises(UsageError, match="no case 'case_none'"):
            ask("case_none")
