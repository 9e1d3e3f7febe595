from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spiritsafe.detect.account.evenness import Evenness
from spiritsafe.detect.calls import Calls
from spiritsafe.detect.middles import is_known
from spiritsafe.detect.types import CallDetector, Measured

Scored = Callable[[CallDetector, Calls], Measured]
WEEKS = 14 * 86_400.0


def test_a_list_worked_off_ranks_above_those_who_come_in_bursts_and_a_pace_above_both(
    calls: Callable[..., Calls], scored: Scored, office: Callable[..., np.ndarray]
) -> None:
    rng = np.random.default_rng(1)
    honest = [scored(Evenness(), calls(office(rng, 600))).statistic[0] for _ in range(100)]
    by_chance = [scored(Evenness(), calls(rng.random(600) * WEEKS)).statistic[0] for _ in range(20)]
    paced = scored(Evenness(), calls(np.arange(600) * WEEKS / 600))
    assert min(by_chance) > max(honest)
    assert paced.statistic[0] >= max(by_chance)
    assert paced.effect[0] < 0.0


def test_a_job_of_one_hour_or_one_day_is_not_even(calls: Callable[..., Calls], scored: Scored) -> None:
    hour, day, week = (scored(Evenness(), calls(np.arange(500) * span / 500)) for span in (3600.0, 86_400.0, WEEKS))
    assert hour.statistic[0] < day.statistic[0] < 0.0 < week.statistic[0]


def test_few_calls_say_little(calls: Callable[..., Calls], scored: Scored) -> None:
    few, many = (scored(Evenness(), calls(np.arange(n) * WEEKS / n)).statistic[0] for n in (16, 4000))
    assert few < 0.0 < many


def test_clocks_that_are_wrong_now_and_then_change_little(calls: Callable[..., Calls], scored: Scored) -> None:
    seconds = np.random.default_rng(5).random(2000) * WEEKS
    skewed = seconds.copy()
    skewed[::100] += 4e8
    skewed[1::100] = -1e9
    right, wrong = (scored(Evenness(), calls(times)).statistic[0] for times in (seconds, skewed))
    assert abs(right - wrong) < 0.1


def test_one_call_is_no_evidence(calls: Callable[..., Calls], scored: Scored) -> None:
    assert not is_known(scored(Evenness(), calls(np.array([5.0]))).statistic).any()
