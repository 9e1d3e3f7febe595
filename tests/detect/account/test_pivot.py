from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spiritsafe.detect.account.pivot import Pivot
from spiritsafe.detect.calls import Calls
from spiritsafe.detect.middles import is_known
from spiritsafe.detect.types import CallDetector, Measured

Scored = Callable[[CallDetector, Calls], Measured]
DAY = 86_400.0


def days(rng: np.random.Generator, counts: np.ndarray) -> np.ndarray:
    return np.concatenate([day * DAY + rng.random(int(count)) * DAY for day, count in enumerate(counts)])


def test_a_turn_ranks_above_those_that_go_on_as_before(calls: Callable[..., Calls], scored: Scored) -> None:
    rng = np.random.default_rng(1)
    steady = [scored(Pivot(), calls(days(rng, rng.poisson(8.0, 14)))).statistic[0] for _ in range(100)]
    turned = [scored(Pivot(), calls(days(rng, rng.poisson(np.repeat([8.0, 80.0], 7))))).statistic[0] for _ in range(20)]
    assert min(turned) > max(steady)


def test_it_is_blind_to_those_that_always_asked_as_much_or_ask_less(
    calls: Callable[..., Calls], scored: Scored
) -> None:
    rng = np.random.default_rng(2)
    rising = scored(Pivot(), calls(days(rng, np.repeat([10, 40], 7))))
    falling = scored(Pivot(), calls(days(rng, np.repeat([40, 10], 7))))
    large = scored(Pivot(), calls(days(rng, np.full(14, 400))))
    assert rising.statistic[0] > 5.0
    assert max(falling.statistic[0], large.statistic[0]) < 1.0
    assert rising.effect[0] == pytest.approx(4.0)


def test_who_is_restless_needs_a_sharper_turn(calls: Callable[..., Calls], scored: Scored) -> None:
    rng = np.random.default_rng(3)
    restless = np.array([1, 40, 2, 60, 1, 30, 2] * 2)
    restless[7:] *= 3
    calm = np.repeat([20, 60], 7)
    found = [scored(Pivot(), calls(days(rng, counts))).statistic[0] for counts in (restless, calm)]
    assert found[0] < 0.5 * found[1]


def test_too_few_days_on_either_side_are_no_evidence(calls: Callable[..., Calls], scored: Scored) -> None:
    rng = np.random.default_rng(4)
    assert not is_known(scored(Pivot(), calls(days(rng, np.array([5, 5, 5, 500])))).statistic).any()
    assert is_known(scored(Pivot(), calls(days(rng, np.array([5, 5, 5, 500, 500])))).statistic).all()
