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

from spiritsafe.stats import pmf

Log10Of = Callable[[Fraction], float]
LN10 = math.log(10.0)


@settings(max_examples=60)
@given(n=st.integers(1, 1500), share=st.floats(0, 1), p=st.floats(1e-6, 1 - 1e-6))
def test_binomial_masses_agree_with_exact_fractions(log10_of: Log10Of, n: int, share: float, p: float) -> None:
    k, chance = round(share * n), Fraction(p)
    exact = log10_of(math.comb(n, k) * chance**k * (1 - chance) ** (n - k))
    assert pmf.binomial_pmf(k, n, p) / LN10 == pytest.approx(exact, rel=3e-14, abs=3e-14)


def test_binomial_masses_keep_their_digits_at_large_counts() -> None:
    # Stirling's series by Decimal with 60 digits; log-Gamma differences would be off by 1e-7 here.
    with localcontext() as context:
        context.prec = 60
        n, k, p = 10**9, 300_010_000, Decimal.from_float(0.3)

        def ln_factorial(m: int) -> Decimal:
            x = Decimal(m)
            pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
            return x * x.ln() - x + (2 * pi * x).ln() / 2 + 1 / (12 * x) - 1 / (360 * x**3) + 1 / (1260 * x**5)

        exact = ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k) + k * p.ln() + (n - k) * (1 - p).ln()
    assert pmf.binomial_pmf(k, n, 0.3) == pytest.approx(float(exact), rel=1e-13)


@given(k=st.integers(0, 2000), mean=st.floats(1e-3, 5e3))
def test_poisson_masses_agree_with_high_precision(k: int, mean: float) -> None:
    with localcontext() as context:
        context.prec = 60
        m = Decimal(mean)
        exact = float((m**k * (-m).exp() / math.factorial(k)).ln())
    assert pmf.poisson_pmf(k, mean) == pytest.approx(exact, rel=1e-13, abs=3e-14)


@pytest.mark.parametrize("shape", [1e-8, 0.3, 0.5, 2.5, 15.9, 16.0, 16.1, 170.5])
def test_real_shapes_agree_with_log_gamma(shape: float) -> None:
    mean = 1.7 * shape + 0.2
    plain = shape * math.log(mean) - mean - math.lgamma(shape + 1.0)
    assert pmf.poisson_pmf(shape, mean) == pytest.approx(plain, rel=1e-12, abs=1e-12)


@settings(max_examples=60)
@given(st.data())
def test_hypergeometric_masses_agree_with_exact_fractions(log10_of: Log10Of, data: Any) -> None:
    population = data.draw(st.integers(1, 800))
    marked = data.draw(st.integers(0, population))
    drawn = data.draw(st.integers(0, population))
    k = data.draw(st.integers(max(0, marked + drawn - population), min(marked, drawn)))
    exact = Fraction(math.comb(marked, k) * math.comb(population - marked, drawn - k), math.comb(population, drawn))
    found = pmf.hypergeometric_pmf(k, population, marked, drawn) / LN10
    assert found == pytest.approx(log10_of(exact), rel=1e-13, abs=1e-13)


@given(ratio=st.floats(0.0, 0.999), terms=st.one_of(st.just(math.inf), st.integers(0, 400)))
def test_ratio_sums_of_geometric_series(ratio: float, terms: float) -> None:
    exact = (1.0 - (ratio ** (terms + 1) if math.isfinite(terms) else 0.0)) / (1.0 - ratio)
    assert pmf.ln_ratio_sum(lambda i: np.full(i.shape, ratio), terms) == pytest.approx(math.log(exact), abs=1e-12)


def test_ratio_sums_that_rise_at_first_are_summed_to_their_end() -> None:
    # exp(300) = sum of 300**i / i!, whose terms rise for 300 steps.
    assert pmf.ln_ratio_sum(lambda i: 300.0 / (i + 1.0)) == pytest.approx(300.0, rel=1e-14)
