from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from spiritsafe.detect import reference as references
from spiritsafe.drill import laboratory, looks, telling
from spiritsafe.drill.run import Drilled
from spiritsafe.drill.scenario import RING, Size, scenario
from spiritsafe.drill.telling import Found
from spiritsafe.record.reader import read
from spiritsafe.record.verify import verify
from spiritsafe.store import open_store


@pytest.fixture(scope="module")
def found(drilled: Drilled, small: Size) -> Found:
    """What the small drill left, read again from its folder alone."""
    data = Path(drilled.data)
    with open_store(f"sqlite:///{data / 'spiritsafe.db'}") as store:
        ids = {account.name: account.account_id for account in store.accounts()}
        decisions = tuple(store.decisions())
    reference = references.load(data / "reference")
    lesson = drilled.outcome.lesson
    del ids[laboratory.NAME]
    exchanges = tuple(e for _, e in read(data / "record") if e.account_id != lesson.account_id)
    began = min(exchange.time for exchange in exchanges) - timedelta(seconds=0.5)
    seconds = drilled.outcome.seconds
    return Found(
        scenario=scenario(3, small),
        ids=ids,
        began=began,
        seconds=seconds,
        exchanges=exchanges,
        decisions=decisions,
        looks=tuple(looks.replay(exchanges, reference, began, [seconds * (n + 1) / 10 for n in range(10)])),
        verification=verify(data / "record"),
        answered=drilled.outcome.served,
        fdr=0.01,
        reference=reference.because(),
        parameters=(("seed", "3"),),
        lesson=lesson,
    )


def test_the_outcome_can_be_had_from_the_record_and_the_store_alone(found: Found, drilled: Drilled) -> None:
    again, first = telling.reckon(found), drilled.outcome
    ours = msgspec.structs.replace(again, stopped_at=None, seconds=0.0)
    assert ours == msgspec.structs.replace(first, stopped_at=None, seconds=0.0)


def test_an_answer_that_is_missing_from_the_record_breaks_it(found: Found) -> None:
    short = msgspec.structs.replace(found, answered=found.answered + 1)
    assert not telling.reckon(short).record_intact
    checks = telling.affair(short, telling.reckon(short)).checks
    assert [check.passed for check in checks] == [True, True, False, True, True]


def test_the_affair_holds_every_account_request_and_decision(found: Found) -> None:
    outcome = telling.reckon(found)
    affair = telling.affair(found, outcome)
    assert affair.passed
    assert len(affair.asked) == len(found.exchanges)
    assert {party.name for party in affair.parties} == set(found.ids)
    assert {party.name for party in affair.parties if party.caught} == {
        actor.name for actor in found.scenario.actors if actor.kind == RING
    }
    covered = {account for ruling in affair.rulings for account in ruling.accounts}
    assert covered == {account for decision in found.decisions for account in decision.accounts}
    assert found.reference in affair.assumptions


def test_honest_teams_are_linked_in_the_picture_too(found: Found) -> None:
    affair = telling.affair(found, telling.reckon(found))
    kinds = {party.party: party.kind for party in affair.parties}
    shared = [{kinds[account] for account in link.accounts} for link in affair.links]
    assert {"coder"} in shared
    assert {"student"} in shared
    assert {RING} in shared
    assert all(len(kinds_of) == 1 for kinds_of in shared)


def test_every_subjects_wealth_is_that_of_the_last_look(found: Found) -> None:
    affair = telling.affair(found, telling.reckon(found))
    ends = {wealth.subject: wealth.points[-1][1] for wealth in affair.wealth}
    for subject, value in found.looks[-1].wealth.items():
        assert ends[subject] == value
    assert {wealth.group for wealth in affair.wealth} >= {"member", "ring"}


def test_a_failure_is_the_headline(found: Found) -> None:
    free = msgspec.structs.replace(found, decisions=())
    outcome = telling.reckon(free)
    affair = telling.affair(free, outcome)
    assert affair.verdict.startswith("The ring was not stopped.")
    assert not affair.passed
    assert "None of them was suspended" in affair.summary


def test_a_broken_record_is_told_with_its_place(found: Found) -> None:
    from spiritsafe.record.verify import Finding

    problem = Finding(step=5, where="segment-0.parquet", row=3, message="a row differs")
    broken = msgspec.structs.replace(
        found, verification=msgspec.structs.replace(found.verification, verdict="broken", problem=problem)
    )
    affair = telling.affair(broken, telling.reckon(broken))
    assert "The record is broken." in affair.verdict
    assert affair.checks[0].detail == "segment-0.parquet: a row differs"
