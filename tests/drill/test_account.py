from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from spiritsafe.drill import account
from spiritsafe.drill.account import Lesson, Outcome
from spiritsafe.drill.scenario import QUICK, RING, Scenario, scenario
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.stats.result import Evidence, Exact, Result, Telling
from spiritsafe.store.models import Action, Decision, DecisionStatus, Event

BEGAN = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
SIZE = msgspec.structs.replace(QUICK, honest={"person": 3}, members=2, corpus=10)
LESSON = Lesson(
    account_id="acc-laboratory", answers=40, stray=0, hindered=False, kept=0.5, interval=(0.4, 0.6), before=0.1,
    student="student", problems=(),
)  # fmt: skip


@pytest.fixture
def play() -> Scenario:
    return scenario(1, SIZE)


def ids(play: Scenario) -> dict[str, str]:
    return {actor.name: f"acc-{actor.name}" for actor in play.actors}


def of_kind(play: Scenario, kind: str) -> list[str]:
    return [f"acc-{actor.name}" for actor in play.actors if actor.kind == kind]


def exchange(account_id: str, prompt: str, seconds: float, status: int = 200) -> Exchange:
    time = BEGAN + timedelta(seconds=seconds)
    return Exchange(
        exchange_id=f"{account_id}-{seconds}",
        time=time,
        account_id=account_id,
        messages=(Message("system", "be brief"), Message("user", prompt)),
        status=status,
    )


def decision(
    accounts: list[str], action: Action, status: DecisionStatus = "in_force", events: tuple[Event, ...] = ()
) -> Decision:
    evidence = Evidence(
        family="phrased",
        result=Result(
            name="elicitation", version=1, subject="x", null="as its peers", statistic=1, p_value=0.1, log10_e=4.25,
            n=20, unit="prompts", effect=0.5, method=Exact("binomial"), because=("half ask for the steps",),
        ),
    )  # fmt: skip
    return Decision(
        decision_id=f"dec-{action}-{accounts[0]}",
        time=BEGAN + timedelta(seconds=60),
        subject=accounts[0] if len(accounts) == 1 else "ring-1",
        subject_kind="ring" if len(accounts) > 1 else "account",
        accounts=tuple(accounts),
        action=action,
        rule="two families",
        reasons=("both speak against it",),
        evidence=(evidence,),
        by="policy:1",
        status=status,
        events=events,
    )


def reckon(
    play: Scenario,
    told: list[account.Asked],
    decisions: list[Decision],
    *,
    intact: bool = True,
    judged: int = 2,
    lesson: Lesson = LESSON,
) -> Outcome:
    who = of_kind(play, RING)[:judged]
    return account.outcome(
        play, ids(play), told, 100, decisions, BEGAN, 120.0, judged=who, intact=intact, lesson=lesson
    )


def test_the_record_tells_which_tasks_were_answered(play: Scenario) -> None:
    member, honest = of_kind(play, RING)[0], of_kind(play, "person")[0]
    told = account.asked(
        play,
        ids(play),
        [
            exchange(member, play.corpus[3].prompt, 1.0),
            exchange(member, play.corpus[4].prompt, 2.0, 403),
            exchange(member, "what is for dinner?", 3.0),
            exchange(honest, play.corpus[5].prompt, 4.0),
            exchange(honest, "hello", 5.0, 502),
        ],
        BEGAN,
    )
    assert [(one.place, one.outcome) for one in told] == [
        (3, "served"),
        (4, "refused"),
        (None, "served"),
        (None, "served"),
        (None, "failed"),
    ]
    result = reckon(play, told, [])
    assert (result.got, result.wanted, result.served, result.refused, result.failed) == (1, 2, 3, 1, 1)


@pytest.mark.parametrize(
    ("status", "result"),
    [(None, "served"), (200, "served"), (403, "refused"), (429, "refused"), (401, "failed"), (500, "failed")],
)
def test_statuses(status: int | None, result: str) -> None:
    assert account.result(status) == result


def test_it_passes_when_the_whole_ring_is_stopped_and_nobody_else_is_touched(play: Scenario) -> None:
    result = reckon(play, [], [decision(of_kind(play, RING), "suspend")])
    assert result.passed
    assert result.failures == ()
    assert result.stopped_at == 60.0


@pytest.mark.parametrize("action", ["observe", "notify", "verify", "throttle", "withhold"])
def test_milder_actions_do_not_stop_a_ring(play: Scenario, action: Action) -> None:
    result = reckon(play, [], [decision(of_kind(play, RING), action)])
    assert not result.passed
    assert result.failures == ("The ring was not stopped.",)


@pytest.mark.parametrize("status", ["pending", "reversed", "expired"])
def test_a_decision_that_does_not_bind_stops_nobody(play: Scenario, status: DecisionStatus) -> None:
    assert reckon(play, [], [decision(of_kind(play, RING), "suspend", status)]).stopped == 0


def test_a_member_who_got_away_is_said(play: Scenario) -> None:
    result = reckon(play, [], [decision(of_kind(play, RING)[:1], "suspend")])
    assert result.failures == ("Only 1 of 2 ring members were stopped.",)
    assert result.stopped_at is None


@pytest.mark.parametrize(
    ("action", "touched"), [("observe", 0), ("notify", 0), ("verify", 1), ("throttle", 1), ("suspend", 1)]
)
def test_an_honest_account_is_touched_once_it_is_hindered(play: Scenario, action: Action, touched: int) -> None:
    decisions = [decision(of_kind(play, RING), "suspend"), decision(of_kind(play, "person")[:1], action)]
    result = reckon(play, [], decisions)
    assert result.touched == touched
    assert result.passed == (touched == 0)


def test_a_released_account_is_bound_no_longer(play: Scenario) -> None:
    everyone = [*of_kind(play, RING), of_kind(play, "person")[0]]
    whole = decision(everyone, "suspend")
    let_go = msgspec.structs.replace(whole, released=(everyone[-1],))
    assert reckon(play, [], [whole]).touched == 1
    assert reckon(play, [], [let_go]).passed


def test_a_machine_that_was_too_slow_is_said_to_be(play: Scenario) -> None:
    said = reckon(play, [], [], judged=1).failures
    assert said[0] == "The ring was not stopped."
    assert "too slow: when the time was up, 1 of 2 members" in said[1]
    assert len(reckon(play, [], [decision(of_kind(play, RING), "suspend")], judged=1).failures) == 0


def test_a_broken_record_fails_the_drill(play: Scenario) -> None:
    result = reckon(play, [], [decision(of_kind(play, RING), "suspend")], intact=False)
    assert not result.passed
    assert result.failures == ("The record is broken.",)


def test_a_ruling_names_the_person_who_confirmed_and_when(play: Scenario) -> None:
    confirmed = Event(time=BEGAN + timedelta(seconds=75), kind="confirmed", by="person on duty")
    made = decision(of_kind(play, RING), "suspend", events=(confirmed,))
    (ruling,) = account.rulings([made], {}, BEGAN)
    assert (ruling.at, ruling.confirmed, ruling.by) == (60.0, 75.0, "person on duty")
    assert ruling.subject == "a ring of 2"
    assert ruling.evidence == ("phrased, by elicitation version 1: log10 e 4.25, p 0.1, over 20 prompts",)
    assert reckon(play, [], [made]).stopped_at == 75.0


def test_decisions_that_only_grew_are_told_once(play: Scenario) -> None:
    members, later = of_kind(play, RING), timedelta(seconds=5)
    first = msgspec.structs.replace(decision(members, "suspend"), accounts=tuple(members[:1]))
    grown = msgspec.structs.replace(decision(members, "suspend"), time=first.time + later, decision_id="dec-2")
    (ruling,) = account.rulings([grown, first], {}, BEGAN)
    assert (ruling.at, ruling.again, ruling.accounts, ruling.subject) == (60.0, 1, tuple(members), "a ring of 2")


def test_what_weighs_most_is_quoted_from_the_record(play: Scenario) -> None:
    made = decision(["a"], "suspend")
    (item,) = made.evidence
    telling = (
        Telling(account_id="a", share=0.6, exchange_id="e1", time=BEGAN + timedelta(seconds=30)),
        Telling(account_id="a", share=0.2, exchange_id="gone"),
    )
    weighed = msgspec.structs.replace(made, evidence=(msgspec.structs.replace(item, telling=telling),))
    kept = msgspec.structs.replace(exchange("a", "lay the steps open", 30.0), exchange_id="e1")
    (ruling,) = account.rulings([weighed], {}, BEGAN, [kept])
    first, second = ruling.telling
    assert (first.at, first.party, first.text, first.by) == (30.0, "a", "lay the steps open", ("elicitation",))
    assert (second.at, second.text) == (None, None)


def test_a_step_that_several_accounts_had_each_for_itself_is_told_once(play: Scenario) -> None:
    people = of_kind(play, "person")
    told = account.rulings([decision([one], "notify") for one in people], {}, BEGAN)
    assert [(r.subject, len(r.accounts), r.again) for r in told] == [("3 accounts, each alone", 3, 0)]
    both = [*(decision([one], "notify") for one in people), decision(people[:1], "throttle")]
    assert [r.subject for r in account.rulings(both, {people[0]: "Ada"}, BEGAN)] == ["3 accounts, each alone", "Ada"]


def test_every_account_has_its_line(play: Scenario) -> None:
    told = account.asked(play, ids(play), [exchange(i, "x", 1.0, 403) for i in ids(play).values()], BEGAN)
    member = of_kind(play, RING)[0]
    made = account.parties(
        play, ids(play), told, {member: 9}, [member], {member: ("card with 1",)}, {member: (4.25, "half ask")}
    )
    assert len(made) == 5
    assert all((p.asked, p.served, p.refused) == (1, 0, 1) for p in made)
    one = next(p for p in made if p.party == member)
    assert (one.caught, one.tokens, one.log10_e, one.worst) == (True, 9, 4.25, "half ask")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"hindered": True}, "The licensed laboratory was hindered."),
        ({"stray": 1}, "The licensed laboratory was hindered."),
        ({"answers": 0}, "The licensed laboratory was hindered."),
        ({"problems": ("model.safetensors differs",)}, "The laboratory's student: model.safetensors differs."),
    ],
)
def test_a_drill_fails_when_its_lawful_half_does(play: Scenario, wrong: dict[str, object], said: str) -> None:
    stopped = [decision(of_kind(play, RING), "suspend")]
    assert reckon(play, [], stopped).passed
    failed = reckon(play, [], stopped, lesson=msgspec.structs.replace(LESSON, **wrong))
    assert not failed.passed
    assert failed.failures == (said,)
