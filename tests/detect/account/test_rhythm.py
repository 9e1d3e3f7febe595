from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spiritsafe.detect.account.rhythm import Rhythm
from spiritsafe.detect.calls import Calls
from spiritsafe.detect.middles import is_known
from spiritsafe.detect.types import CallDetector, Measured

Scored = Callable[[CallDetector, Calls], Measured]


def test_round_the_clock_ranks_above_everyone_who_sleeps(
    calls: Callable[..., Calls], scored: Scored, office: Callable[..., np.ndarray]
) -> None:
    rng = np.random.default_rng(1)
    honest = [scored(Rhythm(), calls(office(rng, 500))).statistic[0] for _ in range(100)]
    clock = [scored(Rhythm(), calls(rng.random(500) * 14 * 86_400.0)).statistic[0] for _ in range(20)]
    assert min(clock) > max(honest)


def test_the_time_zone_does_not_matter(
    calls: Callable[..., Calls], scored: Scored, office: Callable[..., np.ndarray]
) -> None:
    seconds = office(np.random.default_rng(2), 400)
    found = [scored(Rhythm(), calls(seconds + shift * 3600.0)).statistic[0] for shift in range(24)]
    assert np.ptp(found) < 1e-6


def test_a_batch_that_runs_through_one_night_shows_no_rhythm(calls: Callable[..., Calls], scored: Scored) -> None:
    seconds = np.arange(1440) * 60.0 + 43_200.0
    assert not is_known(scored(Rhythm(), calls(seconds)).statistic).any()
    assert is_known(scored(Rhythm(), calls(np.append(seconds, 3 * 86_400.0))).statistic).all()


def test_few_calls_say_little(calls: Callable[..., Calls], scored: Scored) -> None:
    rng = np.random.default_rng(3)
    few, many = (scored(Rhythm(), calls(rng.random(n) * 14 * 86_400.0)).statistic[0] for n in (32, 4000))
    assert few < 0.5 < many


def test_effect_is_1_for_a_rate_that_differs_by_as_much_as_itself(calls: Callable[..., Calls], scored: Scored) -> None:
    half = np.random.default_rng(4).random(20_000) * 43_200.0 + np.repeat(np.arange(10), 2000) * 86_400.0
    assert scored(Rhythm(), calls(half)).effect[0] == pytest.approx(1.0, abs=0.05)
