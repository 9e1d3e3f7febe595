from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.detect.account.nearby import LEAST, itself, nearest

NOBODY = np.zeros(0, dtype=np.int64)


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(4).normal(size=(300, 8))


def test_the_nearest_come_first(points: np.ndarray) -> None:
    near = nearest(points[:5], points, 7, [NOBODY] * 5)
    apart = ((points[:5, None] - points[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(near.row, np.argsort(apart, axis=1)[:, :7])
    assert near.there.all()


def test_more_points_than_a_block_are_looked_at(points: np.ndarray) -> None:
    near = nearest(points, points, 1, [NOBODY] * 300)
    assert near.row[:, 0].tolist() == list(range(300))


def test_who_is_left_out_is_not_there(points: np.ndarray) -> None:
    near = nearest(points[:1], points[:6], 6, [np.array([0, 3])])
    assert set(near.row[0][near.there[0]].tolist()) == {1, 2, 4, 5}
    assert not near.enough()[0]


def test_nobody_compares_with_itself(points: np.ndarray) -> None:
    near = nearest(points, points, 5, itself(points))
    assert (near.row != np.arange(300)[:, None]).all()


def test_whose_length_is_infinite_is_near_to_nobody(points: np.ndarray) -> None:
    lengths = (points**2).sum(axis=1)
    lengths[::2] = np.inf
    near = nearest(points, points, 20, [NOBODY] * 300, lengths)
    assert (near.row[near.there] % 2 == 1).all()


def test_moments_are_those_of_the_peers_that_are_there(points: np.ndarray) -> None:
    values = np.random.default_rng(5).normal(size=(300, 3))
    near = nearest(points[:4], points, 9, [np.arange(200), NOBODY, NOBODY, np.arange(297)])
    mean, variance = near.moments(values)
    for i in range(4):
        around = values[near.row[i][near.there[i]]]
        np.testing.assert_allclose(mean[i], around.mean(axis=0))
        np.testing.assert_allclose(variance[i], around.var(axis=0, ddof=1))
    one = near.moments(values[:, 0])[0]
    np.testing.assert_allclose(one, mean[:, 0])


def test_without_peers_there_are_no_moments(points: np.ndarray) -> None:
    near = nearest(points[:2], points[:0], 5, [NOBODY] * 2)
    mean, variance = near.moments(np.zeros(0))
    assert mean.tolist() == variance.tolist() == [0.0, 0.0]
    assert not near.enough().any()
    assert LEAST > 1
