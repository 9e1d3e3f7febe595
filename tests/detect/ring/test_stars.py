from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.detect.ring.directions import Directions
from spiritsafe.detect.ring.stars import stars


def directions(n: int, width: int, seed: int, shared: int = 0, pull: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, width))
    rows[:shared] += pull * rng.normal(size=width)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("width", [13, 300])
def test_under_the_null_it_speaks_no_more_often_than_promised(width: int) -> None:
    free = np.full(60, float(width))
    lowest = np.array([stars(Directions(directions(60, width, s), free, 1.0), -3.0).log10_p.min() for s in range(300)])
    for level in (0.1, 0.01):
        assert (lowest <= np.log10(level)).mean() <= level + 3.0 * np.sqrt(level / 300)


def test_power_rises_with_the_pull() -> None:
    pulled = (directions(200, 300, 1, 8, pull) for pull in (0.0, 0.5, 1.0))
    found = [stars(Directions(rows, np.full(200, 300.0), 1.25), -3.0).log10_p[:8].max() for rows in pulled]
    assert found[0] > -0.5
    assert found[2] < found[1]
    assert found[2] < -30.0


def test_rays_go_to_the_others_of_the_group() -> None:
    found = stars(Directions(directions(200, 300, 1, 8, 1.0), np.full(200, 300.0), 1.25), -3.0)
    assert set(found.left.tolist()) == set(range(8))
    assert set(found.right.tolist()) <= set(range(8))
    assert (found.size[:8] >= 5).all()


def test_a_group_larger_than_what_is_looked_at_is_seen_by_each_of_its_members() -> None:
    found = stars(Directions(directions(3000, 300, 2, 400, 1.0), np.full(3000, 300.0), 1.25), -3.0)
    assert (found.log10_p[:400] < -100.0).all()
    assert found.size[:400].max() <= 256


def test_rows_that_say_nothing_are_in_no_star() -> None:
    rows = directions(50, 40, 3, 5, 3.0)
    rows[5:20] = 0.0
    found = stars(Directions(rows, np.full(50, 40.0), 1.0), -3.0)
    assert not found.log10_p[5:20].any()


@pytest.mark.parametrize("n", [0, 1])
def test_one_row_has_no_neighbours(n: int) -> None:
    found = stars(Directions(directions(n, 20, 1), np.full(n, 20.0), 1.0), -3.0)
    assert len(found.log10_p) == n
    assert not len(found.left)


def test_few_dimensions_say_little() -> None:
    rows = directions(30, 3, 4, 10, 9.0)
    assert (stars(Directions(rows, np.full(30, 3.0), 1.0), -3.0).log10_p > -3.0).all()
