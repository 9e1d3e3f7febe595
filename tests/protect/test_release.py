from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.protect.release import COSTS, FLOOR, Release, Releases, coarse, objection, released_logprobs, summary

COARSE = Release(logprobs="coarse", step=0.5, top_logprobs=2)


def test_a_tenants_own_release_goes_before_its_risk_and_that_before_the_default() -> None:
    own, watched = Release(n=1), Release(n=2)
    releases = Releases(watched=watched, tenants={"a": own})
    assert releases.of("a", watched=True) is own
    assert releases.of("b", watched=True) is watched
    assert releases.of("b", watched=False) is releases.default
    assert Releases().of("b", watched=True) == Releases().default


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"n": 9}, "n is 9, and at most 4"),
        ({"logprobs": True, "logit_bias": {"1": 5}}, "not given together"),
        ({"top_logprobs": 3, "logit_bias": {"1": 5}}, "not given together"),
        ({"logit_bias": {"1": 5}, "n": 4}, None),
        ({"logprobs": True, "logit_bias": {}}, None),
        ({}, None),
    ],
)
def test_what_can_not_be_served_is_said(asked: dict[str, object], words: str | None) -> None:
    found = objection(Release(n=4), asked)
    assert found is None if words is None else words in (found or "")


def test_who_allows_both_gets_both() -> None:
    assert objection(Release(logit_bias_with_logprobs=True), {"logprobs": True, "logit_bias": {"1": 5}}) is None


@given(st.floats(max_value=0) | st.just(math.nan), st.sampled_from([0.1, 0.25, 0.5, 1.0]))
def test_coarse_is_near_bounded_and_settles(value: float, step: float) -> None:
    found = coarse(value, step)
    assert FLOOR <= found <= 0.0
    assert coarse(found, step) == pytest.approx(found)
    if value >= FLOOR:
        assert abs(found - value) <= step / 2 + 1e-9
    assert math.isfinite(found)


def test_log_probabilities_of_a_chat_are_coarse_and_few() -> None:
    token = {"token": "a", "logprob": -0.7, "bytes": [97]}
    told = {"content": [{**token, "top_logprobs": [token, token, token]}], "refusal": None}
    found = released_logprobs(told, COARSE)
    assert found["content"][0]["logprob"] == -0.5
    assert [top["logprob"] for top in found["content"][0]["top_logprobs"]] == [-0.5, -0.5]
    assert found["content"][0]["token"] == "a"
    assert told["content"][0]["logprob"] == -0.7  # what is recorded stays


def test_log_probabilities_of_a_completion_too() -> None:
    told = {
        "tokens": ["a", "b"],
        "token_logprobs": [None, -0.7],
        "top_logprobs": [None, {"x": -3.2, "b": -0.7, "y": -9}],
    }
    found = released_logprobs(told, COARSE)
    assert found["token_logprobs"] == [None, -0.5]
    assert found["top_logprobs"] == [None, {"b": -0.5, "x": -3.0}]


@pytest.mark.parametrize(
    ("told", "release"), [(None, COARSE), ({"content": []}, Release(logprobs="none")), (7, COARSE)]
)
def test_where_none_are_released_there_are_none(told: object, release: Release) -> None:
    assert released_logprobs(told, release) is None


def test_shown_is_shown_up_to_how_many() -> None:
    told = {"content": [{"token": "a", "logprob": -0.71, "top_logprobs": [{"token": "a", "logprob": -0.71}]}]}
    assert released_logprobs(told, Release()) == told
    assert released_logprobs(told, Release(top_logprobs=0))["content"][0]["top_logprobs"] == []


@given(st.text(max_size=900))
def test_a_summary_is_short_and_begins_as_the_text_does(text: str) -> None:
    found = summary(text)
    assert len(found) <= 160 + 40
    assert " ".join(text.split()).startswith(found.split(" [")[0].rstrip())


def test_a_summary_is_the_first_sentence_and_how_much_more() -> None:
    assert summary("Copper conducts. So it is used. Often.") == "Copper conducts. [22 more characters]"
    assert summary("Copper conducts.") == "Copper conducts."
    assert summary("") == ""


def test_the_number_of_a_step_ends_no_sentence() -> None:
    assert summary("Step by step: 1. Add both. 2. Halve it.") == "Step by step: 1. Add both. [13 more characters]"
    assert summary("1. Add both. 2. Halve it.") == "1. Add both. [13 more characters]"
    assert summary("They have 5. So two are left.") == "They have 5. [17 more characters]"


def test_what_each_costs_is_said_with_its_figures() -> None:
    assert {"reasoning sealed", "logprobs coarse", "top logprobs", "maximum n"} <= COSTS.keys()
    for cost in COSTS.values():
        assert cost.words
        assert any(letter.isdigit() for letter in cost.measured)
