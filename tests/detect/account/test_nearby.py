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


def test_thinned_peers_are_spread_from_the_nearest_to_the_farthest(points: np.ndarray) -> None:
    near = nearest(points[:3], points, 100, [NOBODY] * 3)
    few = near.thinned(10)
    assert few.row.shape == (3, 10)
    np.testing.assert_array_equal(few.row[:, [0, -1]], near.row[:, [0, -1]])
    assert near.thinned(200).row.shape == (3, 100)


def test_middles_bear_that_nearly_half_of_the_peers_are_strangers(points: np.ndarray) -> None:
    values = np.random.default_rng(5).normal(size=(300, 2))
    near = nearest(points[:300], points, 25, [NOBODY] * 300)
    middle, variance = near.middles(values, 0.0)
    assert np.abs(middle).mean() < 0.3
    assert 0.6 < variance.mean() < 1.2
    off = values.copy()
    for i in range(0, 300, 4):
        off[i] = 1000.0
    moved, wide = near.middles(off, 0.0)
    assert np.quantile(np.abs(moved), 0.8) < 2.0
    assert np.quantile(wide, 0.8) < 12.0


def test_middles_are_the_same_one_by_one_and_with_some_left_out(points: np.ndarray) -> None:
    values = np.random.default_rng(6).normal(size=(300, 2))
    out = [np.arange(200), NOBODY, np.arange(297), np.arange(300)]
    near = nearest(points[:4], points, 9, out)
    middle, variance = near.middles(values, 0.1)
    for i in range(3):
        np.testing.assert_allclose(middle[i], np.median(values[near.row[i][near.there[i]]], axis=0))
    assert middle[3].tolist() == variance[3].tolist() == [0.0, 0.0]
    one = nearest(points[1:2], points, 9, [NOBODY]).middles(values, 0.1)
    np.testing.assert_array_equal(one[0][0], middle[1])


def test_no_width_is_below_the_floor(points: np.ndarray) -> None:
    near = nearest(points[:2], points, 9, [NOBODY] * 2)
    spike = np.zeros((300, 1))
    spike[near.row[0][:2]] = 1.0
    assert near.middles(spike, 0.0)[1][0, 0] == 0.0
    assert near.middles(spike, 0.1)[1][0, 0] == pytest.approx(2 * 0.2**2 / 9)


def test_without_peers_there_are_no_moments(points: np.ndarray) -> None:
    near = nearest(points[:2], points[:0], 5, [NOBODY] * 2)
    mean, variance = near.moments(np.zeros(0))
    assert mean.tolist() == variance.tolist() == [0.0, 0.0]
    assert not near.enough().any()
    assert LEAST > 1
