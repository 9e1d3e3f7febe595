from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spiritsafe.prove.sign_flip import CoinBet, sign_flip
from spiritsafe.stats.exact import binomial_upper

SMALL = arrays(np.float64, st.integers(1, 9), elements=st.integers(-9, 9).map(float))


@given(SMALL)
def test_the_p_value_is_the_share_of_all_sign_patterns_as_high(values: np.ndarray) -> None:
    # Whole numbers whose largest divides the finest grid lose nothing to rounding.
    values = np.where(np.abs(values) > 0, np.sign(values) * 2.0 ** (np.abs(values) % 4), 0.0)
    sizes = np.abs(values[values != 0])
    sums = [np.dot(signs, sizes) for signs in itertools.product((-1, 1), repeat=sizes.size)]
    expected = float(np.mean([total >= values.sum() - 1e-9 for total in sums]))
    assert 10 ** sign_flip(values, flips=99).log10_p == pytest.approx(expected, rel=1e-9)


def test_nothing_leans_nowhere() -> None:
    found = sign_flip([0.0, 0.0])
    assert (found.n, found.log10_p, found.statistic) == (0, 0.0, 0.0)


def test_all_on_one_side_is_a_half_to_the_n() -> None:
    found = sign_flip([1.0] * 40)
    assert found.log10_p == pytest.approx(-40 * math.log10(2))
    assert found.effect == 1.0
    assert sign_flip([-1.0] * 40).log10_p == 0.0


def test_far_out_the_bound_takes_over_and_stays_on_the_safe_side() -> None:
    far = sign_flip([1.0] * 1900 + [-1.0] * 100)
    exact = binomial_upper(1900, 2000, 0.5)
    assert far.method.distribution == "Chernoff bound"
    assert exact <= far.log10_p < exact + 3


def test_the_exact_value_and_the_flips_agree() -> None:
    values = np.random.default_rng(5).normal(0.15, 1.0, 120)
    found = sign_flip(values)
    assert found.flips_p == pytest.approx(10**found.log10_p, rel=0.15)
    assert found == sign_flip(values)


@pytest.mark.parametrize("bad", [[float("nan")], [[1.0]], [float("inf")]])
def test_what_is_no_row_of_numbers_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="row of finite numbers"):
        sign_flip(bad)
    with pytest.raises(ValueError, match="row of finite numbers"):
        CoinBet().observe([bad])


def test_under_the_null_p_is_uniform_and_the_wealth_stays_low() -> None:
    rng = np.random.default_rng(11)
    sizes = rng.gamma(0.5, size=60)  # a few large ones
    ps, peaks = [], []
    for _ in range(1000):
        values = sizes * rng.choice([-1.0, 1.0], 60)
        ps.append(10 ** sign_flip(values, flips=9).log10_p)
        peaks.append(CoinBet().observe(values).log10_max)
    for level, low, high in ((0.05, 0.03, 0.07), (0.01, 0.002, 0.02)):
        assert low <= np.mean(np.asarray(ps) <= level) <= high
    assert np.mean(np.asarray(peaks) >= 1.0) <= 0.1 + 0.03


def test_the_wealth_is_a_martingale() -> None:
    sizes = [0.3, 2.0, 1.0, 0.7]
    ends = [
        10 ** CoinBet().observe([s * x for s, x in zip(signs, sizes, strict=True)]).log10
        for signs in itertools.product((-1, 1), repeat=4)
    ]
    assert np.mean(ends) == pytest.approx(1.0, rel=1e-9)


@given(st.lists(st.floats(-3, 3), min_size=0, max_size=30), st.integers(0, 30))
def test_betting_in_one_go_or_in_two_is_the_same(values: list[float], cut: int) -> None:
    once = CoinBet().observe(values)
    twice = CoinBet().observe(values[:cut]).observe(values[cut:])
    assert twice.log10 == pytest.approx(once.log10, abs=1e-9)
    assert twice.log10_max == pytest.approx(once.log10_max, abs=1e-9)
    assert twice.n == once.n
    assert once.log10_p <= 0.0


def test_a_lean_is_found_more_surely_with_more_values() -> None:
    rng = np.random.default_rng(2)
    found = [sign_flip(rng.normal(0.4, 1, n)).log10_p for n in (25, 100, 400)]
    assert found[0] > found[1] > found[2]
    assert CoinBet().observe(rng.normal(0.4, 1, 400)).log10 > 6
