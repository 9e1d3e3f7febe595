from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.stats import binomial_upper, poisson_binomial_upper

Log10Of = Callable[[Fraction], float]


def tail_by_fractions(k: int, chances: list[float]) -> Fraction:
    """P(X >= k), every probability a whole number of 2**-b for one b, so that only integers are added."""
    fractions = [Fraction(p) for p in chances]
    masses = [1]
    for p in fractions:
        hit, whole = p.numerator, p.denominator
        grown = [0] * (len(masses) + 1)
        for j, mass in enumerate(masses):
            grown[j] += mass * (whole - hit)
            grown[j + 1] += mass * hit
        masses = grown
    return Fraction(sum(masses[k:]), math.prod(p.denominator for p in fractions))


@settings(max_examples=60)
@given(chances=st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=40), share=st.floats(0, 1))
def test_tails_agree_with_exact_fractions(log10_of: Log10Of, chances: list[float], share: float) -> None:
    k = round(share * len(chances))
    exact = log10_of(tail_by_fractions(k, chances))
    assert poisson_binomial_upper(k, chances) == pytest.approx(exact, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("k", [60, 250, 380, 599, 600])
def test_many_trials_far_below_the_smallest_float(log10_of: Log10Of, k: int) -> None:
    chances = [((37 * i) % 60 + 1) / 256 for i in range(600)]
    exact = log10_of(tail_by_fractions(k, chances))
    assert poisson_binomial_upper(k, chances) == pytest.approx(exact, rel=1e-11, abs=1e-11)
    if k >= 380:
        assert exact < -150.0


@pytest.mark.parametrize(("k", "n", "p"), [(700, 5000, 0.1), (400, 5000, 0.1), (4900, 5000, 0.01), (3, 5000, 1e-9)])
def test_equal_chances_are_the_binomial(k: int, n: int, p: float) -> None:
    assert poisson_binomial_upper(k, np.full(n, p)) == pytest.approx(binomial_upper(k, n, p), rel=1e-10, abs=1e-10)


def test_certain_and_impossible_trials_count_for_what_they_are() -> None:
    assert poisson_binomial_upper(3, [1.0, 1.0, 0.0, 0.5]) == pytest.approx(math.log10(0.5))
    assert poisson_binomial_upper(2, [1.0, 1.0, 0.0, 0.5]) == 0.0
    assert poisson_binomial_upper(0, []) == poisson_binomial_upper(-1, [0.5]) == 0.0


def test_what_can_not_happen_under_the_null_is_an_error_and_no_p_value() -> None:
    for k, chances in ((2, [0.5]), (1, []), (4, [1.0, 1.0, 0.0, 0.5])):
        with pytest.raises(ValueError, match="can occur"):
            poisson_binomial_upper(k, chances)
    for bad in ([1.1], [-0.1], [math.nan], [[0.5]]):
        with pytest.raises(ValueError, match="chances"):
            poisson_binomial_upper(1, bad)


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=30), st.integers(0, 29))
def test_more_successes_are_never_more_likely(chances: list[float], k: int) -> None:
    possible = sum(p > 0.0 for p in chances)
    if k + 1 <= possible:
        assert poisson_binomial_upper(k + 1, chances) <= poisson_binomial_upper(k, chances) + 1e-11


def test_size_and_power(assert_size: Callable[..., None]) -> None:
    chances = np.random.default_rng(1).beta(1.0, 4.0, 400)
    tails = 10.0 ** np.array([poisson_binomial_upper(k, chances) for k in range(401)])

    def null(rng: np.random.Generator) -> np.ndarray:
        return tails[(rng.random((500, 400)) < chances).sum(axis=1)]

    assert_size(null, n=20_000, level=0.05, floor=0.03)
    assert_size(null, n=20_000, level=0.01, floor=0.006)
    rng = np.random.default_rng(2)
    medians = []
    for n in (100, 400, 1600):
        own = rng.beta(1.0, 4.0, n)
        counts = (rng.random((41, n)) < np.minimum(1.0, 1.3 * own)).sum(axis=1)
        medians.append(np.median([poisson_binomial_upper(int(k), own) for k in counts]))
    assert medians == sorted(medians, reverse=True)
    assert medians[-1] < -3.0
