from __future__ import annotations

import pytest

from spiritsafe.detect.ring import RING_DETECTORS, absorbed
from spiritsafe.detect.types import Basis, Bond, Ring
from spiritsafe.stats.result import Evidence, Exact, Result


def ring(name: str, accounts: range, basis: Basis, *kinds: Bond, family: str = "together") -> Ring:
    result = Result(
        name=name,
        version=1,
        subject=name,
        null="x",
        statistic=0.0,
        p_value=1.0,
        log10_e=0.0,
        n=1,
        unit="x",
        effect=0.0,
        method=Exact("x"),
    )
    return Ring(
        ring_id=name,
        accounts=tuple(f"a{i}" for i in accounts),
        kinds=kinds,
        links=(),
        log10_p=0.0,
        honest_group=5,
        because=(),
        basis=basis,
        evidence=(Evidence(family=family, result=result),),
    )


def test_each_has_its_own_name() -> None:
    assert len({detector.name for detector in RING_DETECTORS}) == len(RING_DETECTORS)


def test_what_lies_within_a_ring_found_by_more_goes_into_it() -> None:
    step = ring("step", range(20), "when", "rhythm", family="when")
    corpus = ring("corpus", range(18), "asked", "corpus")
    card = ring("card", range(4), "shared", "payment", family="asked")
    (found,) = absorbed([card, step, corpus])
    assert found.ring_id == "step"
    assert found.kinds == ("rhythm", "corpus", "payment")
    assert [item.family for item in found.evidence] == ["when", "together"]


@pytest.mark.parametrize(
    "other",
    [
        ring("two kinds", range(4), "shared", "payment", "place"),
        ring("elsewhere", range(50, 60), "asked", "corpus"),
        ring("mostly elsewhere", range(15, 40), "shared", "payment"),
    ],
)
def test_what_does_not_stays(other: Ring) -> None:
    step = ring("step", range(20), "when", "rhythm")
    assert {r.ring_id for r in absorbed([other, step])} == {other.ring_id, "step"}
