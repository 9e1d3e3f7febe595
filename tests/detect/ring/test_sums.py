from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.detect.ring.directions import Directions
from spiritsafe.detect.ring.sums import agreements, log10_chosen, log10_given


def directions(n: int, width: int, rng: np.random.Generator, pull: float = 0.0) -> np.ndarray:
    rows = rng.normal(size=(n, width)) + pull * rng.normal(size=width)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("width", [13, 200])
def test_a_set_chosen_for_other_reasons_leans_no_more_often_than_promised(width: int) -> None:
    rng = np.random.default_rng(1)
    free = np.full(8, float(width))
    found = np.array([log10_given(Directions(directions(8, width, rng), free, 1.0)) for _ in range(2000)])
    for level in (0.1, 0.01):
        assert (found <= np.log10(level)).mean() <= level + 4 * np.sqrt(level / 2000)


def test_the_set_that_leans_most_of_all_is_no_surprise() -> None:
    # Of 30 directions the three closest to one another, however they are found.
    rng = np.random.default_rng(2)
    free = np.full(3, 20.0)
    lowest = []
    for _ in range(200):
        rows = directions(30, 20, rng)
        r = rows @ rows.T
        np.fill_diagonal(r, -1.0)
        a, b = np.unravel_index(r.argmax(), r.shape)
        c = int(np.argmax(np.where(np.isin(np.arange(30), [a, b]), -2.0, r[a] + r[b])))
        lowest.append(log10_chosen(Directions(rows[[a, b, c]], free, 1.0), 30))
    assert np.mean(np.array(lowest) <= -1.0) <= 0.1


def test_power_rises_with_the_pull_and_with_how_many_there_are() -> None:
    rng = np.random.default_rng(3)
    free = np.full(20, 200.0)
    by_pull = [log10_given(Directions(directions(20, 200, rng, pull), free, 1.25)) for pull in (0.0, 0.3, 0.8)]
    assert by_pull[0] > by_pull[1] > by_pull[2]
    rows = directions(20, 200, rng, 0.8)
    by_count = [log10_chosen(Directions(rows[:n], free[:n], 1.25), 3000) for n in (4, 10, 20)]
    assert by_count == sorted(by_count, reverse=True)
    assert by_count[-1] < -10.0


def test_one_alone_agrees_with_nobody() -> None:
    one = Directions(directions(1, 20, np.random.default_rng(4)), np.full(1, 20.0), 1.0)
    assert len(agreements(one)) == 0
    assert log10_given(one) == log10_chosen(one, 9) == 0.0


def test_the_same_direction_over_and_over_stays_finite() -> None:
    rows = np.tile(directions(1, 300, np.random.default_rng(5)), (200, 1))
    same = Directions(rows, np.full(200, 300.0), 1.0)
    assert -1e6 <= log10_given(same) < -100.0
    assert -1e6 <= log10_chosen(same, 3000) < -100.0
