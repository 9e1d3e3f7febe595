from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.detect.account.coverage import MOST_CORES, Coverage
from spiritsafe.detect.account.digests import split
from spiritsafe.detect.types import Measured, Peers
from spiritsafe.record.sketch import sketch_texts

NOBODY = np.zeros(0, dtype=np.int64)


def features(cores: np.ndarray) -> np.ndarray:
    return split(cores.astype(np.uint64))


def measured(asked: list[np.ndarray]) -> Measured:
    windows = []
    for each in asked:
        tracker = Coverage().tracker()
        tracker.learn(features(each))
        windows.append(tracker.window())
    rows = np.stack(windows)
    return Coverage().measure(rows, Peers(rows[:0]), [NOBODY] * len(rows))


@pytest.mark.parametrize("questions", [100, 1000, 20_000])
def test_it_says_less_than_there_are_questions_nearly_always(questions: int) -> None:
    rng = np.random.default_rng(1)
    found = measured([rng.integers(0, questions, 300) for _ in range(200)])
    assert (found.effect <= questions).mean() > 0.97


def test_who_repeats_himself_less_stands_out_more_and_with_more_prompts() -> None:
    rng = np.random.default_rng(2)
    many = [np.median(measured([rng.integers(0, q, 300) for _ in range(30)]).statistic) for q in (50, 500, 5000)]
    long = [np.median(measured([rng.integers(0, 10**9, n) for _ in range(30)]).statistic) for n in (30, 100, 300)]
    assert many == sorted(many)
    assert long == sorted(long)


def test_another_greeting_and_other_numbers_are_the_same_question() -> None:
    texts = [
        "Why do 3 mitochondria divide in Drosophila larvae?",
        "hey, why do 7 mitochondria divide in drosophila larvae",
    ]
    tracker = Coverage().tracker()
    tracker.learn(Coverage().features(sketch_texts(texts, parts=frozenset())))
    assert tracker.window().tolist() == [2.0, 1.0]


def test_all_64_bits_of_a_core_come_through() -> None:
    tracker = Coverage().tracker()
    cores = np.array([1, 2**63, 2**63 + 1, 2**64 - 1], dtype=np.uint64)
    tracker.learn(features(cores))
    assert tracker.window().tolist() == [4.0, 0.0]
    held = np.frombuffer(tracker.state(), dtype="<u8")
    assert sorted(held[2::2].tolist()) == sorted(cores.tolist())


def test_beyond_so_many_questions_it_stays_small() -> None:
    tracker = Coverage().tracker()
    tracker.learn(features(np.arange(5 * MOST_CORES)))
    tracker.learn(features(np.arange(10)))
    assert tracker.window().tolist() == [5 * MOST_CORES + 10, 10.0]
    assert len(tracker.state()) <= 16 * (MOST_CORES + 1)
