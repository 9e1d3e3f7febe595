from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.detect.account.shares import share_at_least

ROUNDING = 1e-12


@given(st.integers(1, 5000), st.integers(0, 5000))
def test_it_is_below_the_share_and_rises_with_what_was_seen(n: int, k: int) -> None:
    k = min(k, n)
    once, twice = share_at_least(np.array([k, 2.0 * k]), np.array([n, 2.0 * n])).tolist()
    assert 0.0 <= once <= k / n + ROUNDING
    assert twice >= once - ROUNDING


def test_none_of_any_number_is_nothing() -> None:
    n = np.arange(1.0, 5000.0)
    assert not share_at_least(np.zeros(len(n)), n).any()


def test_all_of_few_is_less_than_all_of_many() -> None:
    found = share_at_least(np.array([2.0, 16.0, 1000.0]), np.array([2.0, 16.0, 1000.0]))
    assert (np.diff(found) > 0).all()
    assert found[0] < 0.4
    assert found[2] > 0.99
