from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spiritsafe.detect.cores import MOST_CORES, Cores, Sample
from spiritsafe.detect.ring.samples import equally_often, log10_equal

Draw = Callable[[np.random.Generator], np.ndarray]
HONEST: dict[str, Draw] = {
    "all questions alike": lambda rng: rng.poisson(2.7, 3000),
    "rarely asked": lambda rng: rng.poisson(0.4, 3000),
    "some popular": lambda rng: rng.poisson(2.7 * rng.gamma(2.0, 0.5, 3000)),
    "two groups": lambda rng: rng.poisson(np.repeat([1.0, 9.0], 1500)),
}


@pytest.mark.parametrize("name", HONEST)
def test_independent_askings_are_called_even_no_more_often_than_promised(name: str) -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        times = HONEST[name](rng).astype(float)
        found.append(log10_equal(times[times > 0], 60.0)[0])
    for level in (0.1, 0.01):
        assert np.mean(np.array(found) <= np.log10(level)) <= level + 3.5 * np.sqrt(level / 400)


def test_several_answers_to_each_question_are_seen_also_where_some_were_reworded() -> None:
    rng = np.random.default_rng(2)
    times = rng.binomial(rng.choice([2, 3], 3000), 0.85).astype(float)
    log10_p, often = log10_equal(times[times > 0], 60.0)
    assert log10_p < -20.0
    assert often in (2, 3)


def test_questions_that_are_taken_for_the_same_hide_nothing() -> None:
    rng = np.random.default_rng(3)
    times = rng.choice([2, 3], 3000).astype(float)
    times[:300] = times[300:600] + times[600:900]
    assert log10_equal(times, 60.0)[0] < -20.0


def test_few_who_each_ask_the_whole_of_one_list_are_not_in_league() -> None:
    rng = np.random.default_rng(4)
    crowd = [np.flatnonzero(rng.random(3000) < 0.8) for _ in range(4)]
    assert equally_often("ring-1", *parted(crowd)).result.log10_e < 1.0


def test_once_each_says_nothing() -> None:
    assert log10_equal(np.ones(5000), 60.0)[0] == 0.0
    assert log10_equal(np.full(10, 3.0), 60.0)[0] == 0.0


def parted(asked: list[np.ndarray]) -> tuple[Sample, np.ndarray]:
    cores = Cores()
    for account, each in enumerate(asked):
        core = np.asarray(each, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        cores.learn(np.full(len(core), account), core)
    sample = cores.sample()
    return sample, sample.account


def test_only_questions_that_all_accounts_keep_are_counted() -> None:
    # Each question is asked by two of twelve; of the 3,000 that each of them asks it keeps 512.
    rng = np.random.default_rng(5)
    pairs = np.array([rng.choice(12, 2, replace=False) for _ in range(18_000)])
    found = equally_often("ring-1", *parted([np.flatnonzero((pairs == a).any(axis=1)) for a in range(12)]))
    assert found.family == "drawn"
    assert 6 * MOST_CORES * 0.8 < found.result.n < 12 * MOST_CORES
    assert found.result.log10_e > 10.0
    assert "exactly 2" in found.result.because[0]


def test_nothing_asked_is_no_evidence() -> None:
    assert equally_often("ring-1", *parted([])).result.log10_e < 0.0
