"""p-values from draws of the null: permutations, resampling, simulation. Never 0, and the same from the same seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from spiritsafe.stats.result import MonteCarlo
from spiritsafe.stats.types import BoolArray

Draw = Callable[[np.random.Generator], float]
"""Draws the statistic once under the null; higher is more suspicious."""

_ROUNDING = 1e-12


def p_from_draws(observed: float, draws: npt.ArrayLike) -> float:
    """(count + 1) / (n + 1), count of the n ``draws`` as high as ``observed``.

    Exactly valid when the observed statistic and the draws are exchangeable under the null. A draw within rounding
    of the observed value counts as equal: a permutation sums the same numbers in another order.
    Source: Phipson & Smyth (2010), "Permutation p-values should never be zero".
    """
    values = np.asarray(draws, dtype=np.float64)
    return (int(np.count_nonzero(_as_high(observed, values))) + 1) / (values.size + 1)


def monte_carlo(observed: float, draw: Draw, n: int, seed: int) -> tuple[float, MonteCarlo]:
    """The p-value of ``observed`` from ``n`` draws, and how it was obtained."""
    if n < 1:
        raise ValueError(f"n counts draws and is at least 1, got {n}")
    rng = np.random.default_rng(seed)
    return p_from_draws(observed, [draw(rng) for _ in range(n)]), MonteCarlo(n=n, seed=seed)


def sequential_monte_carlo(
    observed: float, draw: Draw, most: int, seed: int, stop: int = 20
) -> tuple[float, MonteCarlo]:
    """The p-value of ``observed``, drawing only until ``stop`` draws are as high: at most ``most`` draws.

    ``stop`` / draws made if that happens, (count + 1) / (most + 1) if not: valid at every level, and where the null
    holds it takes about ``stop`` / p draws. Its standard error is about p / sqrt(stop).
    Source: Besag & Clifford (1991), "Sequential Monte Carlo p-values", Biometrika 78(2).
    """
    if stop < 1 or most < stop:
        raise ValueError(f"needs 1 <= stop <= most, got {stop} and {most}")
    rng = np.random.default_rng(seed)
    count = 0
    for made in range(1, most + 1):
        count += bool(_as_high(observed, np.asarray(draw(rng))))
        if count == stop:
            return stop / made, MonteCarlo(n=made, seed=seed, stop=stop)
    return (count + 1) / (most + 1), MonteCarlo(n=most, seed=seed, stop=stop)


def _as_high(observed: float, values: npt.NDArray[np.float64]) -> BoolArray:
    if np.isnan(observed) or np.isnan(values).any():
        raise ValueError("a statistic can't be NaN")
    return np.asarray(values >= observed - _ROUNDING * abs(observed))
