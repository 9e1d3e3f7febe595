from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.stats.logs import LN10, LOG10_ZERO, log10_sum, p_from_log10

SMALL = st.floats(-200.0, 200.0)


@given(st.lists(SMALL, min_size=1, max_size=8))
def test_the_sum_agrees_with_plain_numbers(logs: list[float]) -> None:
    plain = math.log10(math.fsum(10.0**x for x in logs))
    assert float(log10_sum(np.array(logs))) == pytest.approx(plain, rel=1e-12, abs=1e-12)


@given(st.lists(SMALL, min_size=1, max_size=8), st.floats(-1e5, 1e5))
def test_the_sum_moves_with_its_terms_beyond_the_range_of_floats(logs: list[float], shift: float) -> None:
    moved = float(log10_sum(np.array(logs) + shift))
    assert moved == pytest.approx(float(log10_sum(np.array(logs))) + shift, abs=1e-9)


def test_zeros_add_nothing_and_only_zeros_stay_zero() -> None:
    assert float(log10_sum(np.array([3.0, -math.inf]))) == 3.0
    assert float(log10_sum(np.array([3.0, LOG10_ZERO]))) == 3.0
    assert float(log10_sum(np.array([-math.inf, -math.inf]))) == -math.inf


def test_rows_and_columns() -> None:
    table = np.log10(np.array([[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_allclose(10 ** log10_sum(table), [3.0, 7.0])
    np.testing.assert_allclose(10 ** log10_sum(table, axis=0), [4.0, 6.0])


@given(st.floats(-1e6, 0.0))
def test_a_p_value_is_never_zero_never_above_one_and_never_rounded_down_by_underflow(log10_p: float) -> None:
    p = p_from_log10(log10_p)
    assert 0.0 < p <= 1.0
    if log10_p > -300.0:
        assert math.log10(p) == pytest.approx(log10_p, abs=1e-12)
    else:
        assert math.log10(p) >= log10_p


def test_the_ends_of_p() -> None:
    assert p_from_log10(-2.0) == 0.01
    assert p_from_log10(0.0) == 1.0
    assert p_from_log10(1e-9) == 1.0
    assert p_from_log10(-400.0) == p_from_log10(-math.inf) == sys.float_info.min
    with pytest.raises(ValueError, match="NaN"):
        p_from_log10(math.nan)


def test_ln10() -> None:
    assert math.exp(LN10) == pytest.approx(10.0, rel=1e-15)
