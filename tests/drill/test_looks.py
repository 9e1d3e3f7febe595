from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from spiritsafe.detect.calibrate import reference_of_exchanges
from spiritsafe.detect.online import Watch
from spiritsafe.detect.reference import Reference
from spiritsafe.detect.types import Finding
from spiritsafe.drill import looks
from spiritsafe.drill.crowd import crowd
from spiritsafe.drill.looks import Look
from spiritsafe.drill.scenario import RING, Scenario, Size, scenario
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.stats.result import Evidence, Exact, Result

BEGAN = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def play(small: Size) -> Scenario:
    return scenario(11, small)


@pytest.fixture(scope="module")
def reference(small: Size) -> Reference:
    exchanges = sorted(crowd(77, small.honest, 700), key=lambda exchange: exchange.time)
    return reference_of_exchanges(exchanges, made=BEGAN, source="a crowd")


@pytest.fixture(scope="module")
def exchanges(play: Scenario) -> list[Exchange]:
    made = []
    for actor in play.actors:
        for n, (ask, _) in enumerate(islice(play.asks(actor), 30)):
            made.append(
                Exchange(
                    exchange_id=f"{actor.name}-{n}",
                    time=BEGAN + timedelta(seconds=4 * n),
                    account_id=actor.name,
                    system=ask.system,
                    messages=(Message("user", ask.prompt),),
                    payment=actor.payment,
                    ip_prefix=actor.address.rsplit(".", 1)[0],
                    client=actor.client,
                )
            )
    return made


def finding(subject: str, *families: tuple[str, float]) -> Finding:
    evidence = tuple(
        Evidence(
            family=family,
            result=Result(
                name=family, version=1, subject=subject, null="x", statistic=0, p_value=0.5, log10_e=e, n=16,
                unit="prompts", effect=0, method=Exact("x"), because=(f"{family} says so",),
            ),
        )
        for family, e in families
    )  # fmt: skip
    return Finding(subject=subject, subject_kind="account", accounts=(subject,), evidence=evidence)


def test_evidence_is_what_two_families_agree_on() -> None:
    assert looks.against(finding("a", ("asked", 9.0), ("phrased", -2.0))) == pytest.approx(-2.0)
    assert looks.against(finding("a", ("asked", 9.0))) <= 0.0, "one family alone proves nothing"
    assert looks.strongest(finding("a", ("asked", 1.0), ("phrased", 2.0))) == "phrased says so"


def test_the_line_is_where_e_bh_begins_to_pick() -> None:
    quiet = [finding(f"q{n}", ("asked", -1.0), ("phrased", -1.0)) for n in range(9)]
    alone = Look(1.0, (*quiet, finding("a", ("asked", 5.0), ("phrased", 5.0))), 10)
    assert looks.line(alone, 0.01) == pytest.approx(3.0)
    assert looks.line(Look(1.0, tuple(quiet), 10), 0.01) == pytest.approx(3.0)
    many = [finding(f"a{n}", ("asked", 2.5), ("phrased", 2.5)) for n in range(5)]
    assert looks.line(Look(1.0, tuple(many), 10), 0.01) == pytest.approx(math.log10(10 / 0.05))
    assert looks.line(Look(1.0, (), 0), 0.01) == pytest.approx(2.0)


def test_a_replay_of_the_record_finds_the_ring_and_nobody_else(
    play: Scenario, reference: Reference, exchanges: list[Exchange]
) -> None:
    seen = looks.replay(exchanges, reference, BEGAN, [10.0, 60.0, 130.0])
    assert seen[0].findings == ()
    assert seen[0].tested == 0
    members = {actor.name for actor in play.actors if actor.kind == RING}
    last = seen[-1]
    over = {subject for subject, e in last.wealth.items() if e >= looks.line(last, 0.01)}
    convicted = [ring for ring in last.rings if ring.subject in over]
    assert [set(ring.accused) for ring in convicted] == [members]
    assert not {actor.name for actor in play.actors} - members & over
    assert over & {actor.name for actor in play.actors} <= members


def test_a_replay_is_the_same_in_one_step_or_many(reference: Reference, exchanges: list[Exchange]) -> None:
    once = looks.replay(exchanges, reference, BEGAN, [130.0])[-1]
    often = looks.replay(exchanges, reference, BEGAN, [20.0 * n for n in range(1, 7)] + [130.0])[-1]
    assert once.wealth == pytest.approx(often.wealth)


def test_before_anybody_asked_enough_there_is_nothing_to_see(reference: Reference, exchanges: list[Exchange]) -> None:
    watch = Watch(reference)
    assert looks.look(watch, 0.0) == Look(0.0, (), 0)
    watch.learn(exchanges[:5])
    assert looks.look(watch, 1.0) == Look(1.0, (), 0)
