from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spiritsafe.detect.account.volume import Volume
from spiritsafe.detect.calls import Calls
from spiritsafe.detect.middles import is_known
from spiritsafe.detect.types import CallDetector, Measured

Scored = Callable[[CallDetector, Calls], Measured]


def test_the_busiest_day_counts_and_every_answer_in_it(calls: Callable[..., Calls], scored: Scored) -> None:
    seconds = np.concatenate([np.arange(30) * 10.0, 86_400.0 + np.arange(5) * 10.0])
    assert scored(Volume(), calls(seconds)).effect[0] == 30
    assert scored(Volume(), calls(seconds, n=4.0)).effect[0] == 120
    assert scored(Volume(), calls(seconds, n=np.nan)).effect[0] == 30


def test_more_is_more_suspicious_and_few_calls_say_little(calls: Callable[..., Calls], scored: Scored) -> None:
    found = [scored(Volume(), calls(np.arange(n) * 1.0)).statistic[0] for n in (2, 20, 200, 2000)]
    assert (np.diff(found) > 0).all()
    assert found[0] < 0.0


def test_a_day_twice_over_is_not_a_busier_day(calls: Callable[..., Calls], scored: Scored) -> None:
    seconds = np.arange(100) * 60.0
    twice = np.concatenate([seconds, seconds + 86_400.0])
    assert scored(Volume(), calls(seconds)).statistic[0] == scored(Volume(), calls(twice)).statistic[0]


def test_calls_without_a_time_are_no_evidence(calls: Callable[..., Calls], scored: Scored) -> None:
    assert not is_known(scored(Volume(), calls(np.full(500, np.nan), n=8.0)).statistic).any()
