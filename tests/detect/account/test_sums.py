from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spiritsafe.detect.account.sums import Sums

ROWS = arrays(np.float32, st.tuples(st.integers(0, 20), st.just(3)), elements=st.floats(-1, 1, width=32))


@given(ROWS)
def test_the_window_is_count_and_sums(rows: np.ndarray) -> None:
    sums = Sums(3)
    sums.learn(rows)
    np.testing.assert_allclose(sums.window(), [len(rows), *rows.sum(axis=0)], atol=1e-4)


@given(ROWS, ROWS)
def test_the_order_does_not_matter(a: np.ndarray, b: np.ndarray) -> None:
    one, two = Sums(3), Sums(3)
    for rows in (a, b):
        one.learn(rows)
    for rows in (b, a):
        two.learn(rows[::-1])
    np.testing.assert_allclose(one.window(), two.window(), atol=1e-4)


@given(ROWS, ROWS)
def test_a_state_goes_on_where_it_stopped(a: np.ndarray, b: np.ndarray) -> None:
    sums = Sums(3)
    sums.learn(a)
    again = Sums.from_state(sums.state())
    for each in (sums, again):
        each.learn(b)
    np.testing.assert_array_equal(sums.window(), again.window())
