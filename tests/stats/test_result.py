from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from spiritsafe.stats import LOG10_ZERO, Conformal, Evidence, Exact, Method, MonteCarlo, Result

FIELDS: dict[str, Any] = {
    "name": "overlap",
    "version": 1,
    "subject": "a",
    "null": "the two sets were drawn independently",
    "statistic": 7.0,
    "p_value": 0.01,
    "log10_e": 1.2,
    "n": 40,
    "unit": "keys",
    "effect": 3.5,
    "method": Exact("hypergeometric"),
}

METHODS: list[Method] = [
    Exact("binomial"),
    MonteCarlo(n=999, seed=4),
    MonteCarlo(n=120, seed=4, stop=20),
    Conformal(reference="blake2b-128:00", n=100),
    Conformal(reference="blake2b-128:00", n=100, conditional="equal-local-levels(delta=0.01)"),
    Conformal(reference="blake2b-128:00", n=100, seed=3),
]


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack])
def test_a_result_reads_back_as_it_was_written(method: Method, codec: Any) -> None:
    result = Result(**{**FIELDS, "method": method}, interval=(1.0, 6.0), because=("7 of 40 shared",), seconds=0.5)
    evidence = Evidence(family="what is asked", result=result)
    assert codec.decode(codec.encode(evidence), type=Evidence) == evidence


@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack])
def test_a_lost_bet_is_kept_as_a_number_that_reads_back(codec: Any) -> None:
    result = Result(**{**FIELDS, "log10_e": -math.inf})
    assert result.log10_e == LOG10_ZERO
    assert 10.0**result.log10_e == 0.0
    assert codec.decode(codec.encode(result), type=Result) == result


@pytest.mark.parametrize("p_value", [0.0, -0.1, 1.0000001, math.nan, math.inf])
def test_a_p_value_outside_its_range_is_refused(p_value: float) -> None:
    with pytest.raises(ValueError, match=r"overlap: a p-value lies in \(0, 1\]"):
        Result(**{**FIELDS, "p_value": p_value})


@pytest.mark.parametrize("p_value", [5e-324, 1e-300, 1.0])
def test_a_p_value_inside_its_range_is_taken(p_value: float) -> None:
    assert Result(**{**FIELDS, "p_value": p_value}).p_value == p_value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("statistic", math.nan),
        ("statistic", math.inf),
        ("log10_e", math.nan),
        ("log10_e", math.inf),
        ("effect", math.nan),
        ("effect", -math.inf),
        ("interval", (0.0, math.inf)),
        ("seconds", math.nan),
    ],
)
def test_a_number_that_json_can_not_hold_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match="finite"):
        Result(**{**FIELDS, field: value})


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="n counts observations"):
        Result(**{**FIELDS, "n": -1})


def test_a_stored_result_with_an_impossible_p_value_is_not_read() -> None:
    text = msgspec.json.encode(Result(**FIELDS)).replace(b'"p_value":0.01', b'"p_value":0.0')
    with pytest.raises(msgspec.ValidationError, match="p-value"):
        msgspec.json.decode(text, type=Result)


def test_a_result_can_not_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Result(**FIELDS).p_value = 0.5  # type: ignore[misc]
