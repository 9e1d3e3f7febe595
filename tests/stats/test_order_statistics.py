from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.stats import binomial_upper
from spiritsafe.stats.order_statistics import stays_below, upper_band


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("n", [1, 2, 7, 60, 1000])
def test_simes_equality(n: int, alpha: float) -> None:
    # Simes (1986): P(some U_(i) <= i alpha / n) = alpha exactly; turned upside down, an upper boundary.
    bounds = 1.0 - (n - np.arange(n)) * alpha / n
    assert stays_below(n, np.arange(1, n + 1), bounds) == pytest.approx(1.0 - alpha, rel=1e-10)


def by_counting(n: int, ranks: list[int], bounds: list[Fraction]) -> Fraction:
    """Sums the multinomial over every way to place n points in the cells between the bounds."""
    edges = [Fraction(0), *bounds, Fraction(1)]
    widths = [b - a for a, b in itertools.pairwise(edges)]
    total = Fraction(0)
    for cells in itertools.product(range(n + 1), repeat=len(widths)):
        below = list(itertools.accumulate(cells))
        if below[-1] == n and all(count >= rank for count, rank in zip(below, ranks, strict=False)):
            ways = math.factorial(n) // math.prod(math.factorial(c) for c in cells)
            total += ways * math.prod(width**c for width, c in zip(widths, cells, strict=True))
    return total


@settings(max_examples=40)
@given(st.data())
def test_agrees_with_counting(data: Any) -> None:
    n = data.draw(st.integers(1, 5))
    ranks = sorted(data.draw(st.sets(st.integers(1, n), min_size=1, max_size=3)))
    bounds = sorted(Fraction(data.draw(st.integers(1, 1000)), 1000) for _ in ranks)
    found = stays_below(n, ranks, [float(b) for b in bounds])
    assert found == pytest.approx(float(by_counting(n, ranks, bounds)), rel=1e-12, abs=1e-14)


def test_one_rank_is_a_binomial_tail_also_where_sums_go_by_fft() -> None:
    for n, rank, bound in ((10, 3, 0.4), (5000, 1000, 0.21), (100_000, 50_000, 0.5)):
        exact = 10.0 ** binomial_upper(rank, n, bound)
        assert stays_below(n, [rank], [bound]) == pytest.approx(exact, rel=1e-8)


def test_a_bound_that_can_not_be_met() -> None:
    assert stays_below(1000, [1000], [1e-6]) == 0.0
    assert stays_below(3, [1, 2, 3], [1.0, 1.0, 1.0]) == pytest.approx(1.0)


@pytest.mark.parametrize("delta", [0.01, 0.1])
@pytest.mark.parametrize("n", [1, 2, 3, 20, 200, 1000])
def test_a_band_meets_its_chance_from_the_safe_side(n: int, delta: float) -> None:
    band = upper_band(n, delta)
    assert band.shape == (n,)
    assert np.all(np.diff(band) >= 0.0)
    assert np.all(band[n // 2 + (n < 2) :] == 1.0)
    failing = 1.0 - stays_below(n, np.arange(1, n + 1), band)
    # For all ranks at once, as promised: also those that share a bound.
    assert failing <= delta * (1.0 + 1e-9)
    assert failing >= 0.97 * delta


def test_a_band_holds_in_simulation() -> None:
    rng = np.random.default_rng(3)
    n, delta, runs = 300, 0.1, 5000
    band = upper_band(n, delta)
    failed = np.mean([np.any(np.sort(rng.random(n)) > band) for _ in range(runs)])
    assert abs(failed - delta) < 4 * math.sqrt(delta * (1 - delta) / runs)


def test_a_larger_sample_or_a_laxer_chance_gives_a_tighter_band() -> None:
    assert np.all(upper_band(200, 0.2) <= upper_band(200, 0.05))
    assert upper_band(2000, 0.05)[19] < upper_band(200, 0.05)[1]


def test_a_large_sample_is_bounded_in_seconds_and_as_tight_as_published_bounds() -> None:
    n, delta = 20_000, 0.01
    band = upper_band(n, delta)
    dkw = np.arange(1, n + 1) / n + math.sqrt(math.log(1.0 / delta) / (2 * n))
    simes_at_smallest = 1.0 - delta ** (2.0 / n)
    assert band[0] < simes_at_smallest < dkw[0] / 10.0
    assert band[999] < 1.15 * 1000 / n
    assert np.all(band[: n // 10] < dkw[: n // 10])


@pytest.mark.parametrize(("n", "delta"), [(0, 0.1), (10, 0.0), (10, 1.0), (10, 1e-9), (10, math.nan)])
def test_inputs_are_checked(n: int, delta: float) -> None:
    with pytest.raises(ValueError, match="delta"):
        upper_band(n, delta)
