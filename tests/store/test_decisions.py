"""Decisions, on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import UsageError
from spiritsafe.stats.result import Evidence, Exact, Result
from spiritsafe.store import new_id, open_store
from spiritsafe.store.decisions import strictest
from spiritsafe.store.models import ACTIONS, Decision, strictness

if TYPE_CHECKING:
    from spiritsafe.store import Store

EVIDENCE = Evidence(
    family="what is asked",
    result=Result(
        name="population",
        version=1,
        subject="a",
        null="asks as its kind does",
        statistic=4.5,
        p_value=1e-9,
        log10_e=7.25,
        n=300,
        unit="exchanges",
        effect=0.4,
        interval=(0.3, 0.5),
        method=Exact("binomial"),
        because=("300 of 320 prompts are from one narrow field",),
    ),
)


@pytest.fixture
def decide(store: Store, clock):
    """Record a decision: about the account ``a`` unless told otherwise."""

    def record(action: str = "throttle", *accounts: str, **change: object) -> Decision:
        accounts = accounts or ("a",)
        ring = len(accounts) > 1
        decision = Decision(
            decision_id=new_id("dec"),
            time=clock.now,
            subject="ring_1" if ring else accounts[0],
            subject_kind="ring" if ring else "account",
            accounts=accounts,
            action=action,
            rule="two-families",
            reasons=("asks for one thing only", "in one phrase"),
            evidence=(EVIDENCE,),
            by="policy:12ab",
            status="pending" if change.get("needs_person") else "in_force",
        )
        return store.decide(msgspec.structs.replace(decision, **change))

    return record


def kinds(decision: Decision) -> list[str]:
    return [event.kind for event in decision.events]


def test_a_decision_is_kept_with_its_reasons_and_evidence(store: Store, decide, clock) -> None:
    made = decide("throttle", "b", "a", expires=clock.now + timedelta(days=1))
    kept = store.decision(made.decision_id)
    assert kept == made
    assert (kept.accounts, kept.released, kept.status, kept.appeal) == (("a", "b"), (), "in_force", None)
    assert (kept.rule, kept.by, kept.time) == ("two-families", "policy:12ab", clock.now)
    assert kept.reasons == ("asks for one thing only", "in one phrase")
    assert kept.evidence == (EVIDENCE,)
    assert [(e.kind, e.by, e.text) for e in kept.events] == [("decided", "policy:12ab", "throttle by two-families")]


def test_recording_the_same_twice_keeps_one(store: Store, decide) -> None:
    made = decide(decision_id="dec_1")
    store.reverse("dec_1", "ann", "a class of students")
    assert decide(decision_id="dec_1").status == "reversed", "a repeat brings nothing back"
    with pytest.raises(UsageError, match="another content"):
        decide("suspend", decision_id="dec_1")
    assert [d.decision_id for d in store.decisions()] == [made.decision_id]


def test_a_pending_decision_binds_nobody_until_a_person_confirms_it(store: Store, decide) -> None:
    made = decide("suspend", "a", "b", needs_person=True)
    assert made.status == "pending"
    assert store.standing() == {}
    with pytest.raises(UsageError, match="a policy can't confirm"):
        store.confirm(made.decision_id, "policy:12ab")
    with pytest.raises(UsageError, match="person is empty"):
        store.confirm(made.decision_id, "")
    confirmed = store.confirm(made.decision_id, "ann", "seen the graph")
    assert (confirmed.status, confirmed.needs_person) == ("in_force", True)
    assert (confirmed.events[-1].kind, confirmed.events[-1].by) == ("confirmed", "ann")
    assert set(store.standing()) == {"a", "b"}
    with pytest.raises(UsageError, match="is in force"):
        store.confirm(made.decision_id, "ann")


def test_a_pending_decision_that_ran_out_can_not_be_confirmed(store: Store, decide, clock) -> None:
    made = decide("suspend", needs_person=True, expires=clock.now + timedelta(days=1))
    clock.move(days=1)
    with pytest.raises(UsageError, match="has run out"):
        store.confirm(made.decision_id, "ann")
    assert store.standing() == {}


def test_standing_is_the_strictest_in_force_for_each_account(store: Store, decide, clock) -> None:
    ring = decide("verify", "a", "b", "c")
    clock.move(seconds=1)
    mild = decide("observe", "a")
    strict = decide("suspend", "b")
    assert store.standing() == {"a": ring, "b": strict, "c": ring}
    assert store.standing("a") == {"a": ring}
    assert store.standing("nobody") == {}
    store.reverse(ring.decision_id, "ann", "a company")
    assert store.standing() == {"a": mild, "b": strict}
    newer = decide("observe", "a", time=clock.move(seconds=1))
    assert store.standing("a") == {"a": newer}


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.sets(st.sampled_from("abc"), min_size=1)), max_size=6))
def test_the_strictest_is_found_whatever_the_order(drawn) -> None:
    def build(i: int, action: str, accounts: set[str]) -> Decision:
        return Decision(
            decision_id=str(i),
            time=datetime.fromisoformat("2026-03-02T00:00:00Z"),
            subject="r",
            subject_kind="ring",
            accounts=tuple(accounts),
            action=action,
            rule="r",
            reasons=(),
            evidence=(),
            by="p",
            status="in_force",
            released=("c",),
        )

    made = [build(i, action, accounts) for i, (action, accounts) in enumerate(drawn)]
    standing = strictest(made)
    assert set(standing) == {a for d in made for a in d.accounts} - {"c"}
    for account, decision in standing.items():
        assert account in decision.accounts
        assert strictness(decision.action) == max(strictness(d.action) for d in made if account in d.accounts)
    assert {a: d.action for a, d in strictest(made[::-1]).items()} == {a: d.action for a, d in standing.items()}


def test_a_reversal_says_who_and_why_and_is_final(store: Store, decide) -> None:
    made = decide()
    reversed_ = store.reverse(made.decision_id, "ann", "their own model")
    assert (reversed_.status, reversed_.events[-1].by, reversed_.events[-1].text) == (
        "reversed",
        "ann",
        "their own model",
    )
    assert store.standing() == {}
    for ask in (lambda: store.reverse(made.decision_id, "ann", "x"), lambda: store.confirm(made.decision_id, "ann")):
        with pytest.raises(UsageError, match="is reversed"):
            ask()
    with pytest.raises(UsageError, match="reason is empty"):
        store.reverse(decide().decision_id, "ann", "")


def test_a_pending_decision_can_be_turned_down(store: Store, decide) -> None:
    made = decide("suspend", "a", "b", needs_person=True)
    assert store.reverse(made.decision_id, "ann", "no").status == "reversed"


def test_one_account_of_a_ring_can_be_let_go(store: Store, decide) -> None:
    ring = decide("withhold", "a", "b")
    freed = store.reverse(ring.decision_id, "ann", "shares an office", account_id="a")
    assert (freed.status, freed.accounts, freed.released) == ("in_force", ("a", "b"), ("a",))
    assert (freed.events[-1].kind, freed.events[-1].account_id) == ("released", "a")
    assert set(store.standing()) == {"b"}
    with pytest.raises(UsageError, match=r"let go from .* already"):
        store.reverse(ring.decision_id, "ann", "again", account_id="a")
    with pytest.raises(UsageError, match="does not cover the account 'z'"):
        store.reverse(ring.decision_id, "ann", "who", account_id="z")
    last = store.reverse(ring.decision_id, "ann", "this one too", account_id="b")
    assert last.status == "reversed"
    assert store.standing() == {}


def test_a_decision_ends_by_itself_when_its_time_runs_out(store: Store, decide, clock) -> None:
    strict = decide("suspend", expires=clock.now + timedelta(hours=1))
    waiting = decide("suspend", "b", "c", needs_person=True, expires=clock.now + timedelta(hours=2))
    mild = decide("observe", "a")
    assert store.expire() == []
    clock.move(hours=1)
    assert store.standing() == {"a": mild}, "also before anyone has marked it"
    assert [(d.decision_id, d.status) for d in store.expire()] == [(strict.decision_id, "expired")]
    assert kinds(store.decision(strict.decision_id)) == ["decided", "expired"]
    clock.move(hours=1)
    assert [d.decision_id for d in store.expire()] == [waiting.decision_id]
    assert store.expire() == []
    with pytest.raises(UsageError, match="is expired"):
        store.reverse(strict.decision_id, "ann", "late")


def test_an_appeal_opens_a_case_and_the_next_one_adds_to_it(store: Store, decide, clock) -> None:
    made = decide()
    clock.move(minutes=1)
    appealed = store.appeal(made.decision_id, "this is our own test set")
    assert (appealed.appeal, appealed.status) == ("this is our own test set", "in_force")
    (case,) = store.cases()
    assert (case.case_id, case.subject, case.status) == (appealed.case_id, "a", "open")
    assert [e.kind for e in case.events] == ["decided", "opened", "appealed"]
    assert case.events[-1].by == "account:a"
    clock.move(minutes=1)
    assert store.appeal(made.decision_id, "please hurry").appeal == "please hurry"
    clock.move(minutes=1)
    store.reverse(made.decision_id, "ann", "right they are")
    assert [e.kind for e in store.case(case.case_id).events] == [
        "decided",
        "opened",
        "appealed",
        "appealed",
        "reversed",
    ]
    assert len(store.cases()) == 1


def test_an_appeal_after_the_case_was_closed_opens_it_again(store: Store, decide) -> None:
    made = decide()
    case_id = store.appeal(made.decision_id, "no").case_id
    store.close_case(case_id, "ann", "looked at")
    assert store.appeal(made.decision_id, "but no").case_id == case_id
    assert store.case(case_id).status == "open"
    store.close_case(case_id, "ann", "looked at again")
    newer = store.open_case("a", "bob")
    assert store.appeal(made.decision_id, "still no").case_id == newer.case_id
    assert store.case(case_id).status == "closed"
    assert "appealed" in [e.kind for e in store.case(case_id).events], "the closed case keeps what it had"


def test_a_member_of_a_ring_appeals_for_itself(store: Store, decide) -> None:
    ring = decide("withhold", "a", "b")
    appealed = store.appeal(ring.decision_id, "we only share an office", account_id="b")
    assert (appealed.events[-1].by, appealed.events[-1].account_id) == ("account:b", "b")
    assert store.case(appealed.case_id).subject == "ring_1"
    assert store.appeal(ring.decision_id, "all of us").events[-1].by == "ring:ring_1"
    with pytest.raises(UsageError, match="does not cover the account 'z'"):
        store.appeal(ring.decision_id, "me too", account_id="z")
    with pytest.raises(UsageError, match="appeal is empty"):
        store.appeal(ring.decision_id, " \n")


def test_a_decision_joins_the_open_case_about_its_subject(store: Store, decide) -> None:
    case = store.open_case("a", "ann")
    made = decide()
    assert made.case_id == case.case_id
    assert [e.kind for e in store.case(case.case_id).events] == ["opened", "decided"]
    assert decide("verify", "b").case_id is None


def test_decisions_are_listed_newest_first_and_by_what_they_concern(store: Store, decide, clock) -> None:
    first = decide()
    clock.move(seconds=1)
    ring = decide("suspend", "a", "b", needs_person=True)
    clock.move(seconds=1)
    last = decide("observe", "c")
    assert store.decisions() == [last, ring, first]
    assert store.decisions(limit=2) == [last, ring]
    assert store.decisions(status="pending") == [ring]
    assert store.decisions(subject="c") == [last]
    assert store.decisions(account_id="a") == [ring, first]
    assert store.decisions(account_id="a", status="in_force", limit=5) == [first]


def test_what_makes_no_sense_is_refused(store: Store, decide, clock) -> None:
    wrong = [
        ({"action": "ban"}, "no action 'ban'"),
        ({"accounts": ()}, "covers no account"),
        ({"accounts": ("b",)}, "covers that account alone"),
        ({"status": "reversed"}, "can't be 'reversed'"),
        ({"status": "in_force", "needs_person": True}, "can't be 'in_force'"),
        ({"rule": ""}, "rule is empty"),
        ({"time": clock.now.replace(tzinfo=None)}, "no time zone"),
        ({"expires": clock.now.replace(tzinfo=None)}, "no time zone"),
    ]
    for change, message in wrong:
        with pytest.raises(UsageError, match=message):
            decide(**({"action": "observe"} | change))
    assert store.decisions() == []


def test_decisions_and_their_history_are_never_deleted(store: Store, decide, backend: str) -> None:
    from sqlalchemy import exc, text

    decide()
    for table in ("events", "decision_accounts", "decisions"):
        with pytest.raises(exc.DBAPIError, match="never deleted"), store._engine.begin() as connection:
            connection.execute(text(f"DELETE FROM {table}"))
        if backend == "postgresql":
            with pytest.raises(exc.DBAPIError, match="never deleted"), store._engine.begin() as connection:
                connection.execute(text(f"TRUNCATE {table} CASCADE"))
    assert len(store.decisions()) == 1


def test_a_large_ring_is_one_decision(store: Store, decide) -> None:
    accounts = tuple(f"acc_{i:05}" for i in range(5_000))
    made = decide("withhold", *accounts)
    assert made.accounts == accounts
    assert len(store.standing()) == 5_000


def test_what_one_process_decides_another_sees(store: Store, decide, url: str) -> None:
    with open_store(url) as other:
        before = other.generation()
        made = decide()
        assert set(other.standing()) == {"a"}
        other.reverse(made.decision_id, "bob", "no")
    assert store.standing() == {}
    assert store.generation() > before


def test_a_decision_that_is_not_there_is_named(store: Store) -> None:
    for ask in (
        store.decision,
        lambda d: store.confirm(d, "ann"),
        lambda d: store.reverse(d, "ann", "x"),
        lambda d: store.appeal(d, "x"),
    ):
        with pytest.raises(UsageError, match="no decision 'dec_none'"):
            ask("dec_none")
