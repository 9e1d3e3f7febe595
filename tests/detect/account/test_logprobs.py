from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spiritsafe.detect.account.logprobs import Logprobs
from spiritsafe.detect.calls import Calls
from spiritsafe.detect.middles import is_known
from spiritsafe.detect.types import CallDetector, Measured

Scored = Callable[[CallDetector, Calls], Measured]


def test_the_share_that_asks_counts_however_many_it_asks_for(calls: Callable[..., Calls], scored: Scored) -> None:
    seconds = np.arange(100.0)
    asked = np.repeat([5.0, 0.0], 50)
    assert scored(Logprobs(), calls(seconds, logprobs=asked)).effect[0] == 0.5
    once, twenty = (scored(Logprobs(), calls(seconds, logprobs=n)).statistic[0] for n in (1.0, 20.0))
    assert once == twenty > 0.9


def test_more_and_longer_is_more_suspicious(calls: Callable[..., Calls], scored: Scored) -> None:
    few, many = (scored(Logprobs(), calls(np.arange(float(n)), logprobs=5.0)).statistic[0] for n in (16, 500))
    part = scored(Logprobs(), calls(np.arange(500.0), logprobs=np.arange(500) % 10 == 0)).statistic[0]
    assert part < few < many


def test_what_the_log_does_not_say_is_left_out(calls: Callable[..., Calls], scored: Scored) -> None:
    asked = np.full(100, np.nan)
    assert not is_known(scored(Logprobs(), calls(np.arange(100.0), logprobs=asked)).statistic).any()
    asked[:20] = 5.0
    found = scored(Logprobs(), calls(np.arange(100.0), logprobs=asked))
    assert found.effect[0] == 1.0
    assert found.n[0] == 20
