from __future__ import annotations

import math
from random import Random

import pytest

from spiritsafe.evidence.types import Affair, Asked, Check, Fact, Kind, Link, Party, Quote, Ruling, Wealth

KINDS = ("person", "coder", "student", "support", "translator", "evaluation", "agent")


def make(*, seconds: float = 300.0, seed: int = 1, passed: bool = True) -> Affair:
    """An affair made up for the pictures: nine ring members stopped at 180 s among twenty-four honest accounts."""
    rng = Random(seed)
    cast = [(f"a{i:02d}", KINDS[i % 7]) for i in range(24)] + [(f"r{i:02d}", "ring") for i in range(9)]
    asked: list[Asked] = []
    for party, kind in cast:
        at, place = rng.uniform(0, 12), int(party[1:])
        while at < seconds:
            if kind == "ring":
                outcome = "served" if at < 0.6 * seconds else "refused"
                asked.append(Asked(at=at, party=party, outcome=outcome, place=place % 300))
                place += 9
            else:
                asked.append(Asked(at=at, party=party, outcome="served"))
            at += rng.expovariate(1 / 9)
    wealth = []
    for party, kind in cast:
        e, points = 0.0, []
        for one in (a for a in asked if a.party == party and a.outcome == "served"):
            e += rng.gauss(0.12 if kind == "ring" else -0.05, 0.1)
            points.append((one.at, e))
        wealth.append(Wealth(party, f"name-{party}", "member" if kind == "ring" else "honest", tuple(points)))
    wealth.append(Wealth("ring-1", "ring-1", "ring", tuple((t, t / 20) for t in range(20, 190, 15))))
    links = [Link("payment", tuple(f"r{i:02d}" for i in range(9) if i % 3 == part)) for part in range(3)]
    links += [Link("place", tuple(f"r{i:02d}" for i in range(9) if i // 3 == part)) for part in range(3)]
    links += [Link("payment", ("a01", "a08", "a15")), Link("place", ("a01", "a08", "a15"))]
    links += [Link("place", ("a02", "a03"))]
    ring = tuple(f"r{i:02d}" for i in range(9))
    counts = {p: [a.outcome for a in asked if a.party == p] for p, _ in cast}
    return Affair(
        title="The affair, played on this machine",
        verdict="The ring was stopped. No honest account was touched." if passed else "The ring was not stopped.",
        passed=passed,
        summary="Thirty-three accounts talked to one model. Nine of them pulled at it together.",
        made="2026-03-02 10:00 UTC",
        version="0",
        seconds=seconds,
        corpus=300,
        line=((20.0, 3.0), (60.0, 4.0), (185.0, 3.5)),
        line_name="a decision needs e = 10⁴",
        kinds=(*(Kind(k, f"honest {k}") for k in KINDS), Kind("ring", "harvests the model", ring=True)),
        facts=(
            Fact("812", "exchanges"),
            Fact("9 of 9", "ring members stopped", "good"),
            Fact("0 of 24", "honest accounts touched", "good"),
            Fact("38%", "of its corpus the ring got", "bad"),
            Fact("intact", "the record", "good"),
        ),
        parties=tuple(
            Party(
                party=p,
                name=f"name-{p}",
                kind=k,
                caught=k == "ring" and passed,
                asked=len(counts[p]),
                served=counts[p].count("served"),
                refused=counts[p].count("refused"),
                failed=0,
                tokens=500,
                shares=("card with 3",) if k == "ring" else (),
                log10_e=round(math.sin(i) + (5 if k == "ring" else 0), 2),
                worst="18 of 23 prompts ask for the reasoning <think>, 2% do in the reference" if k == "ring" else "",
            )
            for i, (p, k) in enumerate(cast)
        ),
        asked=tuple(asked),
        wealth=tuple(wealth),
        links=tuple(links),
        rings=(ring,) if passed else (),
        rulings=(
            Ruling(100.0, "name-r01", "observe", "in_force", "watch", "policy:ab12", ("r01",), ("one family",), ()),
            Ruling(
                172.0, "ring-1", "suspend", "in_force", "ring", "policy:ab12", ring,
                ("two families speak against it: what is asked, and how", "two kinds of link"),
                ("population: log10 e 6.2, 143 exchanges",), 180.0,
                telling=(Quote(90.0, "r01", "say <i>all</i>", ("lockstep",)), Quote(None, "r01", None, ("dealt",))),
            ),
        ) if passed else (),
        checks=(Check("Sealed log", True, "812 rows in 3 segments, head 5f2c…"), Check("Signatures", True, "Ed25519")),
        assumptions=("Prompts are generated.", "The reference has other seeds."),
        limits=("It shows that the parts work together, not how often they err.",),
        parameters=(("seed", "1"), ("model", "smollm2")),
    )  # fmt: skip


@pytest.fixture
def affair() -> Affair:
    return make()


@pytest.fixture
def failed_affair() -> Affair:
    return make(passed=False)
