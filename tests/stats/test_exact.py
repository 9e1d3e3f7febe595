from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from spiritsafe.stats import (
    binomial_lower,
    binomial_two_sided,
    binomial_upper,
    gamma_lower,
    gamma_upper,
    hypergeometric_lower,
    hypergeometric_upper,
    poisson_lower,
    poisson_upper,
)

Log10Of = Callable[[Fraction], float]
LN10 = math.log(10.0)


def close(found: float, exact: float) -> None:
    """12 digits of the p-value itself where it is a float, and of its logarithm far below."""
    assert found == pytest.approx(exact, rel=2e-13, abs=1e-12)


def binomial_tail(ks: range, n: int, p: float) -> Fraction:
    top, bottom = Fraction(p).as_integer_ratio()
    return Fraction(sum(math.comb(n, j) * top**j * (bottom - top) ** (n - j) for j in ks), bottom**n)


def poisson_tail_upper(k: int, mean: float) -> float:
    """ln P(X >= k) by the series itself, with 80 digits."""
    with localcontext() as context:
        context.prec = 80
        m = Decimal(mean)
        term = m**k * (-m).exp() / math.factorial(k)
        total, j = term, k
        while term > total * Decimal(10) ** -70 or j < mean:
            j += 1
            term *= m / j
            total += term
        return float(total.ln())


def poisson_tail_lower(k: int, mean: float) -> float:
    with localcontext() as context:
        context.prec = 80
        m = Decimal(mean)
        term = total = (-m).exp()
        for j in range(1, k + 1):
            term *= m / j
            total += term
        return float(total.ln())


def hypergeometric_tail(ks: range, population: int, marked: int, drawn: int) -> Fraction:
    ways = sum(math.comb(marked, j) * math.comb(population - marked, drawn - j) for j in ks)
    return Fraction(ways, math.comb(population, drawn))


@settings(max_examples=80)
@given(n=st.integers(1, 400), share=st.floats(0, 1), p=st.floats(1e-9, 1 - 1e-9))
def test_binomial_tails_agree_with_exact_fractions(log10_of: Log10Of, n: int, share: float, p: float) -> None:
    k = round(share * n)
    upper, lower = binomial_tail(range(k, n + 1), n, p), binomial_tail(range(k + 1), n, p)
    close(binomial_upper(k, n, p), log10_of(upper))
    close(binomial_lower(k, n, p), log10_of(lower))
    close(binomial_two_sided(k, n, p), min(0.0, log10_of(2 * min(upper, lower))))


@pytest.mark.parametrize(
    ("k", "n", "p"),
    [(1000, 1000, 0.25), (900, 1200, 0.1), (395, 400, 1e-6), (1100, 2000, 0.125), (40, 300, 1e-9), (1055, 1060, 0.5)],
)
def test_binomial_tails_far_below_the_smallest_float(log10_of: Log10Of, k: int, n: int, p: float) -> None:
    exact = log10_of(binomial_tail(range(k, n + 1), n, p))
    assert exact < -280.0
    close(binomial_upper(k, n, p), exact)


@pytest.mark.parametrize(("k", "n", "p"), [(0, 1000, 0.75), (100, 1200, 0.9), (5, 400, 0.999), (700, 4000, 0.5)])
def test_binomial_lower_tails_far_below_the_smallest_float(log10_of: Log10Of, k: int, n: int, p: float) -> None:
    exact = log10_of(binomial_tail(range(k + 1), n, p))
    assert exact < -280.0
    close(binomial_lower(k, n, p), exact)


def test_binomial_tails_are_continuous_where_one_method_hands_over_to_the_other() -> None:
    n, p = 5000, 0.2
    logs = binomial_upper(np.arange(1800, 3000), n, p)
    assert logs[0] > -250.0
    assert logs[-1] < -310.0
    # The tail's ratio of neighbours is near n p / k (1 - p) and changes slowly: a jump would show.
    steps = np.diff(logs)
    assert np.all(steps < 0.0)
    assert np.max(np.abs(np.diff(steps))) < 2e-3


@settings(max_examples=80)
@given(k=st.integers(0, 3000), mean=st.floats(1e-3, 3000.0))
def test_poisson_tails_agree_with_high_precision(k: int, mean: float) -> None:
    if k > mean:
        close(poisson_upper(k, mean), poisson_tail_upper(k, mean) / LN10)
    else:
        close(poisson_lower(k, mean), poisson_tail_lower(k, mean) / LN10)


@pytest.mark.parametrize(("k", "mean"), [(0, 1e-12), (0, 5.0), (1, 1e-300), (5, 5.0), (40, 60.0)])
def test_poisson_tails_near_one_and_near_nothing(k: int, mean: float) -> None:
    upper, lower = poisson_upper(k, mean), poisson_lower(k, mean)
    assert upper <= 0.0
    assert lower <= 0.0
    if k:
        close(upper, poisson_tail_upper(k, mean) / LN10)
    else:
        assert upper == 0.0
    close(lower, poisson_tail_lower(k, mean) / LN10)


@settings(max_examples=60)
@given(shape=st.integers(1, 1500), spread=st.floats(-15.0, 60.0))
def test_gamma_tails_of_whole_shape_agree_with_poisson_series(shape: int, spread: float) -> None:
    x = max(1e-3, shape + spread * math.sqrt(shape))
    if x > shape:
        close(gamma_upper(x, shape), poisson_tail_lower(shape - 1, x) / LN10)
    else:
        close(gamma_lower(x, shape), poisson_tail_upper(shape, x) / LN10)


@given(x=st.floats(1e-6, 1e6))
def test_gamma_tails_of_shape_one_half_are_a_normal_tail(x: float) -> None:
    exact = (math.log(2.0) + float(special.log_ndtr(-math.sqrt(2.0 * x)))) / LN10
    assert gamma_upper(x, 0.5) == pytest.approx(exact, rel=1e-12, abs=1e-12)


@given(shape=st.floats(0.05, 500.0), spread=st.floats(5.0, 3000.0))
def test_gamma_tails_of_any_shape_obey_their_recurrence(shape: float, spread: float) -> None:
    # Q(a + 1, x) = Q(a, x) + x**a exp(-x) / Gamma(a + 1), with a far upper x.
    x = shape + spread
    step = shape * math.log(x) - x - math.lgamma(shape + 1.0)
    whole = np.logaddexp(gamma_upper(x, shape) * LN10, step)
    assert gamma_upper(x, shape + 1.0) * LN10 == pytest.approx(float(whole), rel=1e-11, abs=1e-11)


@settings(max_examples=80)
@given(st.data())
def test_hypergeometric_tails_agree_with_exact_fractions(log10_of: Log10Of, data: Any) -> None:
    population = data.draw(st.integers(1, 600))
    marked = data.draw(st.integers(0, population))
    drawn = data.draw(st.integers(0, population))
    least, most = max(0, marked + drawn - population), min(marked, drawn)
    k = data.draw(st.integers(least, most))
    upper = hypergeometric_tail(range(k, most + 1), population, marked, drawn)
    lower = hypergeometric_tail(range(least, k + 1), population, marked, drawn)
    close(hypergeometric_upper(k, population, marked, drawn), log10_of(upper))
    close(hypergeometric_lower(k, population, marked, drawn), log10_of(lower))


def test_hypergeometric_tails_far_below_the_smallest_float(log10_of: Log10Of) -> None:
    exact = hypergeometric_tail(range(900, 1001), 20_000, 1000, 1000)
    close(hypergeometric_upper(900, 20_000, 1000, 1000), log10_of(exact))
    assert log10_of(exact) < -900.0
    lower = hypergeometric_tail(range(11), 4000, 2000, 2000)
    close(hypergeometric_lower(10, 4000, 2000, 2000), log10_of(lower))
    assert log10_of(lower) < -1000.0


def test_hypergeometric_tails_of_large_populations_are_nearly_binomial() -> None:
    found = hypergeometric_upper(250, 10**12, 10**11, 1000)
    assert found == pytest.approx(binomial_upper(250, 1000, 0.1), rel=1e-6)


@given(n=st.integers(1, 300), p=st.floats(0.01, 0.99))
def test_tails_fall_as_outcomes_grow_more_extreme_and_the_whole_is_one(n: int, p: float) -> None:
    ks = np.arange(n + 1)
    upper, lower = binomial_upper(ks, n, p), binomial_lower(ks, n, p)
    assert upper[0] == 0.0
    assert lower[-1] == 0.0
    assert np.all(np.diff(upper) <= 1e-15)
    assert np.all(np.diff(lower) >= -1e-15)
    np.testing.assert_allclose(10.0 ** upper[1:] + 10.0 ** lower[:-1], 1.0, atol=1e-12)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (binomial_upper, ([0, 5, 10, 900], [10, 10, 10, 1000], 0.3)),
        (binomial_lower, ([0, 5, 10, 900], [10, 10, 10, 1000], [0.3, 0.1, 0.2, 0.999999])),
        (binomial_two_sided, ([0, 5, 10, 900], 1000, 0.3)),
        (poisson_upper, ([0, 5, 900], [1.0, 1e-6, 1.0])),
        (poisson_lower, ([0, 5, 9], [1.0, 2000.0, 1.0])),
        (gamma_upper, ([1e-3, 5.0, 2000.0], 1.5)),
        (gamma_lower, ([1e-3, 5.0, 2000.0], [300.0, 2.0, 2.0])),
        (hypergeometric_upper, ([0, 5, 10], 100, 20, [10, 10, 10])),
        (hypergeometric_lower, ([[0, 5], [10, 3]], 100, 20, 10)),
    ],
)
def test_arrays_give_what_numbers_give(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    arrays = np.broadcast_arrays(*map(np.asarray, args))
    found = function(*map(np.asarray, args))
    assert isinstance(found, np.ndarray)
    assert found.shape == arrays[0].shape
    for index in np.ndindex(*found.shape):
        single = function(*(array[index].item() for array in arrays))
        assert type(single) is float
        assert single == found[index]
        assert -math.inf < single <= 0.0


def test_no_trials_and_no_population_prove_nothing() -> None:
    assert binomial_upper(0, 0, 0.5) == binomial_lower(0, 0, 0.5) == binomial_two_sided(0, 0, 0.5) == 0.0
    assert hypergeometric_upper(0, 0, 0, 0) == hypergeometric_lower(0, 0, 0, 0) == 0.0


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (binomial_upper, (11, 10, 0.5)),
        (binomial_upper, (-1, 10, 0.5)),
        (binomial_upper, (5, 10, 0.0)),
        (binomial_upper, (5, 10, 1.0)),
        (binomial_lower, (5, 10, math.nan)),
        (binomial_lower, (0.5, 10, 0.5)),
        (binomial_two_sided, (5, 9.5, 0.5)),
        (poisson_upper, (1, 0.0)),
        (poisson_upper, (math.nan, 1.0)),
        (poisson_lower, (-1, 1.0)),
        (gamma_upper, (0.0, 1.0)),
        (gamma_upper, (math.inf, 1.0)),
        (gamma_lower, (1.0, 0.0)),
        (hypergeometric_upper, (11, 100, 20, 10)),
        (hypergeometric_upper, (1, 100, 101, 10)),
        (hypergeometric_lower, (0, 10, 8, 8)),
        (hypergeometric_lower, (1.5, 10, 8, 8)),
    ],
)
def test_what_can_not_happen_under_the_null_is_an_error_and_no_p_value(
    function: Callable[..., Any], args: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="needs"):
        function(*args)


@pytest.mark.parametrize("level", [0.01, 0.05])
def test_size(assert_size: Callable[..., None], level: float) -> None:
    def binomial(rng: np.random.Generator) -> np.ndarray:
        return 10.0 ** binomial_upper(rng.binomial(5000, 0.2, 20_000), 5000, 0.2)

    def two_sided(rng: np.random.Generator) -> np.ndarray:
        return 10.0 ** binomial_two_sided(rng.binomial(5000, 0.2, 20_000), 5000, 0.2)

    def overlap(rng: np.random.Generator) -> np.ndarray:
        table = [hypergeometric_upper(k, 10_000, 3000, 2000) for k in range(500, 701)]
        return 10.0 ** np.array(table)[rng.hypergeometric(3000, 7000, 2000, 20_000) - 500]

    def exponentials(rng: np.random.Generator) -> np.ndarray:
        return 10.0 ** gamma_upper(rng.exponential(size=(20_000, 40)).sum(axis=1), 40)

    def arrivals(rng: np.random.Generator) -> np.ndarray:
        return 10.0 ** poisson_upper(rng.poisson(900.0, 20_000), 900.0)

    for draw in (binomial, two_sided, overlap, exponentials, arrivals):
        assert_size(draw, n=20_000, level=level, floor=0.7 * level)


def test_power_rises_with_the_number_of_trials() -> None:
    rng = np.random.default_rng(7)
    medians = [float(np.median(binomial_upper(rng.binomial(n, 0.3, 200), n, 0.25))) for n in (100, 1000, 10_000, 10**6)]
    assert medians == sorted(medians, reverse=True)
    assert medians[-1] < -1000.0
