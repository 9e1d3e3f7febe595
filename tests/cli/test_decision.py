"""``spiritsafe decision``."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spiritsafe.stats.result import Evidence, Exact, Result
from spiritsafe.store import Decision, new_id, open_store

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
        method=Exact("binomial"),
        because=("300 of 320 prompts are from one narrow field",),
    ),
)


@pytest.fixture
def decide(run, data):
    """Record a decision about some accounts; several make a ring, and a ring that is suspended needs a person."""
    run("account", "add", "Acme")

    def record(action: str, *accounts: str) -> str:
        ring = len(accounts) > 1
        needs_person = ring and action == "suspend"
        decision = Decision(
            decision_id=new_id("dec"),
            time=datetime.now(UTC),
            subject="ring_1" if ring else accounts[0],
            subject_kind="ring" if ring else "account",
            accounts=accounts,
            action=action,
            rule="two-families",
            reasons=("asks for one thing only", "in one phrase"),
            evidence=(EVIDENCE,),
            by="policy:12ab",
            status="pending" if needs_person else "in_force",
            needs_person=needs_person,
        )
        with open_store(f"sqlite:///{data}/spiritsafe.db") as store:
            return store.decide(decision).decision_id

    return record


def test_decisions_are_listed_newest_first_and_by_what_they_concern(run, decide) -> None:
    one, two, three = decide("verify", "a"), decide("suspend", "a", "b"), decide("observe", "c")

    def listed(*options: str) -> list[str]:
        return [d["decision_id"] for d in run("decision", "list", *options, "--json").json["decisions"]]

    assert listed() == [three, two, one]
    assert listed("--status", "pending") == [two]
    assert listed("--account", "a") == [two, one]
    assert listed("--subject", "c") == [three]
    shortened = run("decision", "list", "--limit", "1")
    assert three in shortened.out
    assert two not in shortened.out
    assert "--limit shows more" in shortened.err
    assert run("decision", "list").err == ""


def test_a_decision_is_shown_with_reasons_evidence_and_history(run, decide) -> None:
    name = decide("throttle", *(f"acc_{i:03}" for i in range(30)))
    shown = run("decision", "show", name, "--json").json
    assert shown["evidence"][0]["result"]["because"] == ["300 of 320 prompts are from one narrow field"]
    assert shown["reasons"] == ["asks for one thing only", "in one phrase"]
    assert len(shown["accounts"]) == 30
    table = " ".join(run("decision", "show", name).out.split())
    for part in (name, "ring_1", "throttle", "in one phrase", "what is asked", "1e-09", "7.25", "narrow field"):
        assert part in table
    assert "acc_019 and 10 more" in table


def test_a_pending_decision_is_confirmed_by_a_person(run, decide, monkeypatch) -> None:
    monkeypatch.setenv("LOGNAME", "bob")
    name = decide("suspend", "a", "b")
    confirmed = run("decision", "confirm", name, "--reason", "seen the graph", "--json").json
    assert confirmed["status"] == "in_force"
    assert (confirmed["events"][-1]["by"], confirmed["events"][-1]["text"]) == ("bob", "seen the graph")
    again = run("decision", "confirm", name)
    assert (again.code, "is in force" in again.err) == (2, True)


def test_a_reversal_says_what_still_binds(run, decide) -> None:
    mild, strict = decide("verify", "a"), decide("withhold", "a")
    reversed_ = run("decision", "reverse", strict, "their own model", "--by", "ann", "--json").json
    assert reversed_["decision"]["status"] == "reversed"
    assert reversed_["still_bound"] == {"a": mild}
    strict = decide("withhold", "a")
    table = run("decision", "reverse", strict, "again", "--by", "ann").out
    assert "1 still bound by another decision" in table
    assert mild in table
    assert run("decision", "reverse", mild, "that too", "--json").json["still_bound"] == {}


def test_one_account_of_a_ring_is_let_go(run, decide) -> None:
    name = decide("withhold", "a", "b")
    freed = run("decision", "reverse", name, "shares an office", "--account", "a", "--json").json
    assert (freed["decision"]["status"], freed["decision"]["released"]) == ("in_force", ["a"])
    assert freed["still_bound"] == {}
    table = run("decision", "show", name).out
    assert "let go" in table


def test_an_appeal_goes_into_a_case(run, decide) -> None:
    name = decide("throttle", "a", "b")
    appealed = run("decision", "appeal", name, "we only share an office", "--account", "b", "--json").json
    assert (appealed["appeal"], appealed["status"]) == ("we only share an office", "in_force")
    case = run("case", "show", appealed["case_id"], "--json").json
    assert [e["kind"] for e in case["events"]] == ["decided", "opened", "appealed"]
    assert "we only share an office" in run("decision", "appeal", name, "we only share an office").out
    assert "yes" in run("decision", "list").out


def test_what_is_wrong_says_what_to_do(run, decide) -> None:
    name = decide("throttle", "a", "b")
    for arguments, message in (
        (("show", "none"), "no decision 'none'"),
        (("confirm", "none"), "no decision 'none'"),
        (("confirm", name), "Only a pending decision"),
        (("reverse", name, ""), "reason is empty"),
        (("reverse", name), "Missing argument 'reason'"),
        (("reverse", name, "x", "--account", "z"), "does not cover the account 'z'"),
        (("appeal", name, ""), "appeal is empty"),
        (("list", "--limit", "0"), "--limit"),
    ):
        done = run("decision", *arguments)
        assert (done.code, done.out) == (2, ""), arguments
        assert message in done.err
