from __future__ import annotations

import pytest

from spiritsafe.stats.result import Evidence, Exact, Result, Telling
from spiritsafe.stats.telling import weightiest


def evidence(name: str, log10_e: float, **shares: float) -> Evidence:
    result = Result(
        name=name,
        version=1,
        subject="a",
        null="none",
        statistic=1.0,
        p_value=0.5,
        log10_e=log10_e,
        n=1,
        unit="prompts",
        effect=1.0,
        method=Exact(distribution="binomial"),
    )
    telling = tuple(Telling(account_id="a", exchange_id=key, share=share) for key, share in shares.items())
    return Evidence(family="asked", result=result, telling=telling)


def test_what_weighs_in_two_pieces_comes_before_what_weighs_in_one() -> None:
    found = weightiest([evidence("one", 3.0, x=0.5, y=0.4), evidence("two", 1.0, z=0.9, y=0.8)])
    assert [(w.telling.exchange_id, w.by) for w in found] == [("y", ("one", "two")), ("x", ("one",)), ("z", ("two",))]
    assert [w.telling.share for w in found] == pytest.approx([0.5, 0.375, 0.225])


def test_what_does_not_speak_against_anyone_is_left_out() -> None:
    assert weightiest([evidence("one", -1.0, x=1.0), evidence("two", 2.0)]) == ()
    assert len(weightiest([evidence("one", 1.0, a=0.4, b=0.3, c=0.2, d=0.1)])) == 3
