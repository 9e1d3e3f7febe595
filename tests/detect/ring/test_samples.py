from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spiritsafe.detect.cores import MOST_CORES, Cores, Sample
from spiritsafe.detect.ring.samples import equally_often, log10_equal

PARTIES, QUESTIONS = 60, 1500
Draw = Callable[[np.random.Generator], np.ndarray]


def asked(chance: np.ndarray, parties: int = PARTIES) -> Draw:
    """Which of the parties ask which questions, each with its own chance [parties, questions]."""
    return lambda rng: rng.random((parties, QUESTIONS)) < chance / PARTIES


def chapters(parties: int, long: int, corpus: int) -> Draw:
    """Each asks one stretch of a corpus, all of it: questions are asked by as many as happen to be there."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        lengths = (long * rng.lognormal(0.0, 0.5, parties)).astype(int)
        first = rng.integers(0, corpus, parties)
        return (np.arange(corpus) - first[:, None]) % corpus < lengths[:, None]

    return draw


def blocks(parties: int, long: int, chance: float) -> Draw:
    """Each asks whole blocks of a corpus of 3,000 or nothing of them."""
    return lambda rng: np.repeat(rng.random((parties, 3000 // long)) < chance, long, axis=1)


HONEST: dict[str, Draw] = {
    "all questions alike": asked(np.full((1, QUESTIONS), 2.7)),
    "rarely asked": asked(np.full((1, QUESTIONS), 0.6)),
    "some popular": asked(2.7 * np.random.default_rng(0).gamma(2.0, 0.5, (1, QUESTIONS))),
    "two groups": asked(np.repeat([[1.0, 9.0]], QUESTIONS // 2, axis=1)),
    "some ask more": asked(np.random.default_rng(0).lognormal(0.7, 0.8, (PARTIES, 1)) * np.ones((1, QUESTIONS))),
    "ten that ask much": asked(np.full((1, QUESTIONS), 24.0), 10),
    "chapters of tutors": chapters(30, 170, 4000),
    "chapters of a few": chapters(10, 250, 1200),
    "chapters of very many": chapters(100, 150, 1500),
    "blocks": blocks(60, 50, 0.3),
    "small blocks": blocks(60, 10, 0.1),
    "two fifths of everything": lambda rng: rng.random((100, QUESTIONS)) < 0.4,
}


def rows(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Who asked what, the questions that were asked numbered."""
    party, question = np.nonzero(matrix)
    return np.unique(party, return_inverse=True)[1], np.unique(question, return_inverse=True)[1]


def test_a_corpus_dealt_out_over_and_over_is_seen() -> None:
    rng = np.random.default_rng(8)
    # Forty copies of each question, put down anywhere among a hundred parties, and other questions of each one's own.
    matrix = np.zeros((100, 4000), dtype=bool)
    for copy in range(40):
        matrix[rng.integers(0, 100, 2000), np.arange(2000)] = True
        matrix[rng.integers(0, 100, 50), 2000 + 50 * copy + np.arange(50)] = True
    log10_p, often = log10_equal(*rows(matrix))
    assert log10_p < -10.0
    assert 25 < often < 40


def dealt(times: np.ndarray, rng: np.random.Generator, parties: int = PARTIES) -> np.ndarray:
    """Each question asked so many times, by parties drawn for it."""
    order = rng.random((len(times), parties)).argsort(axis=1)
    return (order < times[:, None]).T


@pytest.mark.parametrize("name", HONEST)
def test_independent_askings_are_called_even_no_more_often_than_promised(name: str) -> None:
    rng = np.random.default_rng(1)
    found = np.array([log10_equal(*rows(HONEST[name](rng)))[0] for _ in range(200)])
    for level in (0.1, 0.01):
        assert np.mean(found <= np.log10(level)) <= level + 3.5 * np.sqrt(level / 200)


def test_several_answers_to_each_question_are_seen_also_where_some_were_reworded() -> None:
    rng = np.random.default_rng(2)
    log10_p, often = log10_equal(*rows(dealt(rng.binomial(rng.choice([2, 3], 3000), 0.85), rng)))
    assert log10_p < -4.0
    assert often in (2, 3)


def test_work_for_ten_customers_of_whom_most_ask_each_question_is_seen() -> None:
    rng = np.random.default_rng(6)
    times = np.clip(np.round(rng.normal(5.5, 1.1, 2500)), 2, 9).astype(int)
    log10_p, often = log10_equal(*rows(dealt(times, rng, 10)))
    assert log10_p < -3.0
    assert often in (4, 5, 6, 7)


def test_questions_that_are_taken_for_the_same_hide_nothing() -> None:
    rng = np.random.default_rng(3)
    matrix = dealt(rng.choice([2, 3], 3000), rng)
    matrix[:, :300] = matrix[:, 300:600] | matrix[:, 600:900]
    assert log10_equal(*rows(matrix))[0] < -4.0


def test_few_who_each_ask_the_whole_of_one_list_are_not_in_league() -> None:
    rng = np.random.default_rng(4)
    crowd = [np.flatnonzero(rng.random(3000) < 0.8) for _ in range(4)]
    assert equally_often("ring-1", *parted(crowd)).result.log10_e < 1.0


def test_once_each_says_nothing() -> None:
    rng = np.random.default_rng(4)
    assert log10_equal(*rows(dealt(np.ones(5000, dtype=int), rng)))[0] == 0.0
    assert log10_equal(*rows(dealt(np.full(10, 3), rng)))[0] == 0.0
    assert log10_equal(np.zeros(3000, dtype=np.int64), np.arange(3000))[0] == 0.0


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
    assert found.result.log10_e > 3.0
    assert "exactly 2" in found.result.because[0]


def test_nothing_asked_is_no_evidence() -> None:
    assert equally_often("ring-1", *parted([])).result.log10_e < 0.0
