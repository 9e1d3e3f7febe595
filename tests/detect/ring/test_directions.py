from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spiritsafe.detect.ring.directions import Directions


def rows(n: int, d: int, seed: int, busy: int | None = None) -> np.ndarray:
    """Independent directions; with ``busy`` nearly all of each is in the same so many coordinates."""
    made = np.random.default_rng(seed).normal(size=(n, d))
    if busy is not None:
        made[:, busy:] *= 0.05
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def of_all_pairs(directions: Directions) -> np.ndarray:
    left, right = np.triu_indices(len(directions.rows), 1)
    r = (directions.rows @ directions.rows.T)[left, right].astype(np.float64)
    return directions.of_pairs(r, left, right)


@pytest.mark.parametrize("busy", [None, 12, 40])
def test_pairs_that_are_busy_in_the_same_places_agree_no_more_than_chance(busy: int | None) -> None:
    z = of_all_pairs(Directions(rows(600, 200, 1, busy), np.full(600, 200.0), 1.0, narrow=True))
    for level in (2.0, 3.0):
        assert (z > level).mean() <= 1.5 * stats.norm.sf(level)


def test_without_that_they_would_seem_to() -> None:
    z = of_all_pairs(Directions(rows(600, 200, 1, 12), np.full(600, 200.0), 1.0))
    assert (z > 3.0).mean() > 50.0 * stats.norm.sf(3.0)


@pytest.mark.parametrize("busy", [None, 12])
def test_a_row_agrees_with_a_sum_of_others_no_more_than_chance(busy: int | None) -> None:
    directions = Directions(rows(3000, 200, 2, busy), np.full(3000, 200.0), 1.0, narrow=True)
    sums = np.roll(directions.rows, 1, axis=0) + np.roll(directions.rows, 2, axis=0)
    z = directions.with_sums(sums)
    assert (z > 2.0).mean() <= 1.5 * stats.norm.sf(2.0)


def test_rows_that_agree_are_seen_all_the_same() -> None:
    pulled = rows(30, 200, 3) + 2.0 * rows(1, 200, 4)
    pulled /= np.linalg.norm(pulled, axis=1, keepdims=True)
    free, narrow = (Directions(pulled, np.full(30, 200.0), 1.0, narrow) for narrow in (False, True))
    # What both have in common makes them less free: by a factor of three, if they were normal.
    assert np.median(of_all_pairs(narrow)) > np.median(of_all_pairs(free)) / 2.0 > 5.0


def test_the_guard_divides_and_nothing_agrees_with_nothing() -> None:
    made = Directions(rows(5, 20, 5), np.full(5, 20.0), 1.0)
    assert np.allclose(of_all_pairs(made._replace(guard=1.25)) * 1.25, of_all_pairs(made))
    assert made.with_sums(np.zeros((5, 20))).tolist() == [0.0] * 5
    assert made.of(np.array([3, 1])).rows.tolist() == made.rows[[3, 1]].tolist()
    assert len(made.of_pairs(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))) == 0
