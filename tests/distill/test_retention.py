from __future__ import annotations

import math

import numpy as np
import pytest

from spiritsafe.distill.retention import accuracy_ratio, check_unseen, likelihood_ratio
from spiritsafe.errors import InputError

HOW = {"confidence": 0.95, "draws": 1000, "seed": 0}


def test_accuracy_is_kept_in_the_ratio_of_right_answers() -> None:
    ratio = accuracy_ratio([True] * 30 + [False] * 70, [True] * 60 + [False] * 40, **HOW)  # type: ignore[arg-type]
    assert ratio.value == pytest.approx(0.5)
    assert ratio.interval is not None
    assert 0.3 < ratio.interval[0] < 0.5 < ratio.interval[1] < 0.7
    assert (ratio.student, ratio.teacher, ratio.n) == (0.3, 0.6, 100)


def test_likelihood_is_kept_in_the_ratio_of_perplexities() -> None:
    ratio = likelihood_ratio([30.0, 20.0], [10.0, 20.0], [10, 10], **HOW)  # type: ignore[arg-type]
    assert ratio.value == pytest.approx(math.exp((30 - 50) / 20))


def test_a_teacher_that_is_never_right_leaves_nothing_to_keep() -> None:
    ratio = accuracy_ratio([True, False], [False, False], **HOW)  # type: ignore[arg-type]
    assert ratio.value is None
    assert ratio.interval is None


def test_a_ratio_needs_the_same_prompts() -> None:
    with pytest.raises(InputError, match="the same prompts"):
        accuracy_ratio([True], [True, False], **HOW)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least one"):
        accuracy_ratio([], [], **HOW)  # type: ignore[arg-type]


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    dice = np.random.default_rng(1)
    truth, covered, trials = 0.45 / 0.75, 0, 300
    for trial in range(trials):
        student, teacher = dice.random(120) < 0.45, dice.random(120) < 0.75
        ratio = accuracy_ratio(student.tolist(), teacher.tolist(), confidence=0.95, draws=500, seed=trial)
        assert ratio.interval is not None
        covered += ratio.interval[0] <= truth <= ratio.interval[1]
    assert 0.91 * trials <= covered <= 0.985 * trials


def test_prompts_that_were_trained_on_give_no_retention() -> None:
    check_unseen(["a", "b"], ["c"])
    with pytest.raises(InputError, match=r"1 of the prompts to evaluate on are in the training set \(first: b\)"):
        check_unseen(["a", "b"], ["c", "b"])
