"""Bounds that all order statistics of a uniform sample keep below at once, with an exact chance."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

from spiritsafe.stats import pmf
from spiritsafe.stats.types import FloatArray, IntArray

_NEGLIGIBLE = 1e-25
_DIRECT = 64
_TOLERANCE = 1e-6
_EVERY_RANK_UP_TO = 64
_MOST_STEPS = 100
_ROUNDING = 1e-12
_SMALLEST_DELTA = 1e-6


def stays_below(n: int, ranks: npt.ArrayLike, bounds: npt.ArrayLike) -> float:
    """P(U_(i) <= b_i for every i in ``ranks``), U_(i) the i-th smallest of ``n`` independent uniforms.

    ``ranks`` and ``bounds`` rise. The counts below each bound are followed as a Poisson process that has ``n``
    arrivals in all; what is cut off as negligible is counted as a failure, so the answer is never too large.
    Source: Moscovich & Nadler (2017), "Fast calculation of boundary crossing probabilities for Poisson processes".
    """
    chances, lowest, before = np.ones(1), 0, 0.0
    for rank, bound in zip(np.asarray(ranks).tolist(), np.asarray(bounds).tolist(), strict=True):
        fewest, arrivals = _poisson(n * (bound - before))
        chances, lowest, before = _convolve(chances, arrivals), lowest + fewest, bound
        # At least ``rank`` of the n must lie below the bound.
        first = max(rank - lowest, 0)
        chances, lowest = chances[first : max(n - lowest + 1, 0)], lowest + first
        kept = np.flatnonzero(chances > _NEGLIGIBLE)
        if kept.size == 0:
            return 0.0
        chances, lowest = chances[kept[0] : kept[-1] + 1], lowest + int(kept[0])
    left = n - lowest - np.arange(chances.size)
    last = np.exp(_ln_poisson(left.astype(np.float64), n * (1.0 - before)))
    return min(1.0, float(chances @ last) / math.exp(pmf.poisson_pmf(n, n)))


def upper_band(n: int, delta: float) -> FloatArray:
    """b_1 <= ... <= b_n that the order statistics of ``n`` uniforms all keep below, with chance 1 - ``delta``.

    Equal local levels: each bound alone is exceeded with one and the same chance, as large as ``delta`` allows, up to
    rank n/2; from there on the bound is 1. Beyond rank 64 a bound serves all ranks within 1 part in 64 below it.
    The chance is met from the safe side to one part in a million of ``delta``.
    Source: Gontscharuk, Landwehr & Finner (2016), "Goodness of fit tests in terms of local levels".
    """
    if n < 1 or not _SMALLEST_DELTA <= delta < 1.0:
        raise ValueError(f"needs n of at least 1 and delta in [{_SMALLEST_DELTA}, 1), got {n!r} and {delta!r}")
    ranks = _ranks(n)

    def excess(ln_level: float) -> float:
        failure = max(1.0 - stays_below(n, ranks, _bounds(n, ranks, ln_level)), _ROUNDING)
        return math.log(failure / delta)

    bounds = _bounds(n, ranks, _largest_safe(excess, math.log(delta / ranks.size), math.log(delta)))
    full = np.ones(n)
    full[: ranks[-1]] = bounds[np.searchsorted(ranks, np.arange(1, ranks[-1] + 1))]
    return full


def _ranks(n: int) -> IntArray:
    ranks, top = [1], max(1, n // 2)
    while ranks[-1] < top:
        ranks.append(min(top, ranks[-1] + max(1, ranks[-1] // _EVERY_RANK_UP_TO)))
    return np.asarray(ranks, dtype=np.int64)


def _bounds(n: int, ranks: IntArray, ln_level: float) -> FloatArray:
    """U_(i) is Beta(i, n + 1 - i): the points it exceeds with chance exp(``ln_level``)."""
    return np.asarray(special.betainccinv(ranks, n + 1 - ranks, math.exp(ln_level)), dtype=np.float64)


def _largest_safe(excess: Callable[[float], float], low: float, high: float) -> float:
    """The largest level whose band is safe, to a millionth: regula falsi in its Illinois form.

    ``low`` is safe by the union bound; ``excess``, nearly a straight line, is 0 at the level sought and above 0
    where the band fails too often.
    """
    at_low, at_high = excess(low), excess(high)
    if at_high <= 0.0:
        return high
    safe, at_safe, side = low, at_low, 0
    for _ in range(_MOST_STEPS):
        if at_safe >= -_TOLERANCE:
            break
        # Aiming a little to the safe side ends the search there as soon as it is close enough.
        middle = (low * at_high - high * at_low) / (at_high - at_low) - _TOLERANCE / 2.0
        value = excess(middle)
        if value <= 0.0:
            safe, at_safe = middle, value
            low, at_low = middle, value
            at_high = at_high / 2.0 if side < 0 else at_high
            side = -1
        else:
            high, at_high = middle, value
            at_low = at_low / 2.0 if side > 0 else at_low
            side = 1
    return safe


def _poisson(mean: float) -> tuple[int, FloatArray]:
    """The counts that a Poisson of this mean takes with more than negligible chance: the fewest, and the chances."""
    reach = 10.0 * math.sqrt(mean) + 25.0
    fewest = max(0, math.floor(mean - reach))
    return fewest, np.exp(_ln_poisson(np.arange(fewest, math.ceil(mean + reach), dtype=np.float64), mean))


def _ln_poisson(counts: FloatArray, mean: float) -> FloatArray:
    return np.asarray(special.xlogy(counts, mean) - mean - special.gammaln(counts + 1.0), dtype=np.float64)


def _convolve(a: FloatArray, b: FloatArray) -> FloatArray:
    if min(a.size, b.size) <= _DIRECT:
        return np.convolve(a, b)
    width = a.size + b.size - 1
    length = 1 << (width - 1).bit_length()
    return np.maximum(np.fft.irfft(np.fft.rfft(a, length) * np.fft.rfft(b, length), length)[:width], 0.0)
