from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from spiritsafe.detect.calls import PARAMS, params_of, plain
from spiritsafe.detect.features import from_exchanges
from spiritsafe.record.exchange import Exchange, Message

TIME = datetime(2026, 3, 2, tzinfo=UTC)


def exchange(prompt: str | None = "hi", **more: object) -> Exchange:
    held = None if prompt is None else (Message("user", prompt),)
    return Exchange(exchange_id="e", time=TIME, account_id="a", messages=held, **more)  # type: ignore[arg-type]


def test_each_api_s_own_names_are_read() -> None:
    for params in (
        {"n": 4, "logprobs": True, "top_logprobs": 5, "max_completion_tokens": 90, "temperature": 0.7},
        {"n": 4, "logprobs": 5, "max_tokens": 90, "temperature": 0.7},
        {"candidate_count": 4, "logprobs": 5, "max_output_tokens": 90, "temperature": 0.7},
    ):
        found = dict(zip(PARAMS, params_of(exchange(params=params, completion_tokens=12)), strict=True))
        assert found.pop("completion_tokens") == 12
        assert math.isnan(found.pop("prompt_tokens"))
        assert found == {"n": 4, "logprobs": 5, "max_tokens": 90, "temperature": 0.7}


def test_what_is_not_said_is_unknown_and_not_nothing() -> None:
    assert all(math.isnan(value) for value in params_of(exchange()))


@pytest.mark.parametrize("odd", [None, "4", [4], {"n": 4}, -1, math.nan, math.inf, 10**400, 2e9])
def test_what_is_no_sound_number_is_unknown(odd: object) -> None:
    assert math.isnan(plain(odd))
    assert math.isnan(params_of(exchange(params={"n": odd}))[PARAMS.index("n")])


def test_a_batch_s_calls_know_whether_a_prompt_came_before() -> None:
    batch = from_exchanges([exchange("one"), exchange("two"), exchange("one"), exchange(None)], frozenset())
    calls = batch.calls()
    assert len(calls) == 4
    assert calls.digest[0] == calls.digest[2] != calls.digest[1]
    assert calls.digest[3] == 0
    assert np.isnan(calls.param("n")).all()
    assert (calls.seconds == TIME.timestamp()).all()
