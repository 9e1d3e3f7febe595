"""Logarithms of point probabilities that keep their digits for large counts, and sums of tails built from them.

Source: Loader (2000), "Fast and accurate computation of binomial probabilities": differences of log-Gamma
functions lose as many digits as the counts have; the saddle-point form loses none.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from spiritsafe.stats.types import FloatArray

_LN_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
_PRECISION = 1e-17
_FIRST_CHUNK = 64
_LARGEST_CHUNK = 1 << 16


def binomial_pmf(k: float, n: float, p: float) -> float:
    """ln P(X = k) for X binomial(n, p), 0 <= k <= n and 0 < p < 1."""
    if k == 0:
        return n * math.log1p(-p)
    if k == n:
        return n * math.log(p)
    rest = n - k
    return (
        _stirling_error(n)
        - _stirling_error(k)
        - _stirling_error(rest)
        - _deviance(k, n * p)
        - _deviance(rest, n * (1.0 - p))
        + 0.5 * (math.log(n / rest) - math.log(k))
        - _LN_SQRT_2PI
    )


def poisson_pmf(k: float, mean: float) -> float:
    """ln(mean**k exp(-mean) / Gamma(k + 1)) for real k >= 0 and mean > 0: the Poisson probability for whole k."""
    if k == 0:
        return -mean
    return -_stirling_error(k) - _deviance(k, mean) - 0.5 * math.log(k) - _LN_SQRT_2PI


def hypergeometric_pmf(k: int, population: int, marked: int, drawn: int) -> float:
    """ln P(X = k) for X the number marked among ``drawn`` without replacement; k lies in the support."""
    if drawn in (0, population):
        return 0.0
    share = drawn / population
    return (
        binomial_pmf(k, marked, share)
        + binomial_pmf(drawn - k, population - marked, share)
        - binomial_pmf(drawn, population, share)
    )


def ln_ratio_sum(ratio: Callable[[FloatArray], FloatArray], terms: float = math.inf) -> float:
    """ln(1 + r(0) + r(0) r(1) + ...) over at most ``terms`` ratios, all at least 0 and, in the end, falling below 1.

    ``ratio`` maps the indices 0, 1, ... to the ratios of neighbouring terms and doesn't rise. Summing stops once what
    remains, bounded by a geometric series, is below a double's precision.
    """
    total, last, start, chunk = 1.0, 1.0, 0, _FIRST_CHUNK
    while start < terms:
        index = np.arange(start, int(min(start + chunk, terms)), dtype=np.float64)
        ratios = ratio(index)
        products = last * np.cumprod(ratios)
        total += float(np.sum(products))
        last, step = float(products[-1]), float(ratios[-1])
        if step < 1.0 and last * step <= _PRECISION * total * (1.0 - step):
            break
        start += index.size
        chunk = min(2 * chunk, _LARGEST_CHUNK)
    return math.log(total)


def _stirling_error(n: float) -> float:
    """ln Gamma(n + 1) less Stirling's formula for it, n > 0."""
    if n < 16.0:
        return math.lgamma(n + 1.0) - (n + 0.5) * math.log(n) + n - _LN_SQRT_2PI
    square = n * n
    series = 1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - (1 / 1188) / square) / square) / square) / square
    return series / n


def _deviance(x: float, mean: float) -> float:
    """x ln(x / mean) + mean - x, at least 0, without cancellation where x is near the mean."""
    if abs(x - mean) >= 0.1 * (x + mean):
        return x * math.log(x / mean) + mean - x
    v = (x - mean) / (x + mean)
    total = (x - mean) * v
    term, square = 2.0 * x * v, v * v
    for odd in range(3, 1000, 2):
        term *= square
        grown = total + term / odd
        if grown == total:
            break
        total = grown
    return total
