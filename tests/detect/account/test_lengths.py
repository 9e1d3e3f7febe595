from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spiritsafe.detect.account.lengths import LEAST, Lengths
from spiritsafe.detect.calls import Calls
from spiritsafe.detect.middles import is_known
from spiritsafe.detect.types import CallDetector, Measured

Scored = Callable[[CallDetector, Calls], Measured]


def test_long_answers_and_room_for_them_count(calls: Callable[..., Calls], scored: Scored) -> None:
    seconds = np.arange(64.0)
    found = [
        scored(Lengths(), calls(seconds, completion_tokens=100.0)),
        scored(Lengths(), calls(seconds, completion_tokens=100.0, max_tokens=50.0)),
        scored(Lengths(), calls(seconds, completion_tokens=100.0, max_tokens=4096.0)),
        scored(Lengths(), calls(seconds, max_tokens=16384.0)),
    ]
    assert [round(float(each.effect[0])) for each in found] == [100, 100, 4096, 16384]
    assert (np.diff([each.statistic[0] for each in found]) >= 0).all()


def test_few_calls_and_lengths_that_differ_say_less(calls: Callable[..., Calls], scored: Scored) -> None:
    rng = np.random.default_rng(1)
    drawn = rng.lognormal(5.0, 1.0, 4000)
    few, many = (scored(Lengths(), calls(np.arange(float(n)), completion_tokens=drawn[:n])) for n in (16, 4000))
    assert few.statistic[0] < many.statistic[0] < np.log2(many.effect[0])
    assert many.effect[0] == pytest.approx(np.exp(5.0), rel=0.1)


def test_lengths_that_are_not_known_are_left_out(calls: Callable[..., Calls], scored: Scored) -> None:
    tokens = np.full(100, np.nan)
    tokens[: LEAST - 1] = 1000.0
    assert not is_known(scored(Lengths(), calls(np.arange(100.0), completion_tokens=tokens)).statistic).any()
    tokens[LEAST - 1] = 1000.0
    found = scored(Lengths(), calls(np.arange(100.0), completion_tokens=tokens))
    assert found.n[0] == LEAST
    assert found.effect[0] == pytest.approx(1000.0, rel=1e-3)
