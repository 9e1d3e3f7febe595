"""From a rank among reference accounts to wealth, for one account and for the members of a ring together.

Ranks are all that is known: no distribution is assumed, so no bet on one account can win more than the
reference has accounts. See docs/decisions/0010-evidence.md.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from spiritsafe.detect.types import Family, FloatArray
from spiritsafe.stats.evalues import calibrate_mixture
from spiritsafe.stats.logs import p_from_log10
from spiritsafe.stats.result import Evidence, Exact, Result

DELTA = 0.01


def log10_wealth(p: FloatArray, n: int) -> FloatArray:
    """log10 of the e-value 1 / (p H) for conformal p-values from ``n`` reference scores.

    H, the (n + 1)-th harmonic number, makes the mean over the n + 1 equally likely ranks 1, so the top rank wins
    (n + 1) / H. It spreads its stake evenly over the orders of magnitude of p: within a factor of ln n of the best
    bet on any one of them.
    """
    return np.asarray(-np.log10(p) - math.log10(_harmonic(n + 1)), dtype=np.float64)


def log10_allowance(n: int) -> float:
    """log10 of what each e-value is divided by before those of several accounts are multiplied.

    One reference serves them all, and one that happens to be low makes all of them large together. With chance
    1 - ``DELTA`` over references, a bet's expectation given the reference is at most this factor, so bets divided by
    it have expectation at most 1 given the reference, and those of independent accounts multiply. Given the
    reference, the chances of the n + 1 ranks are the spacings of n uniforms, whatever the scores' distribution, so
    the expectation is a ratio of sums of exponentials; its tail is bounded by Chernoff's method. The idea is that
    of Bates et al. (2023), section 3, made for this bet alone instead of for all levels at once: at n = 4,000 it
    costs a factor of 1.8, theirs 8 at the top rank.
    """
    if n < 1:
        return 0.0  # ranked among none, every p-value is 1 and no bet wins or loses
    # From 30 on the allowance falls as n grows: two leading digits, rounded down, are on the safe side.
    unit = 10 ** max(len(str(n)) - 2, 0)
    return _allowance(n // unit * unit, DELTA)


@functools.lru_cache(maxsize=4096)
def _allowance(n: int, delta: float) -> float:
    bets = (n + 1) / (np.arange(1, n + 2) * _harmonic(n + 1))
    low, high = 1.0, float(min(bets[0], 8.0))
    for _ in range(16):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _chernoff(bets - middle) > math.log(delta) else (low, middle)
    return math.log10(high)


def _chernoff(weights: FloatArray) -> float:
    """A bound on ln P(sum of weights * exponentials >= 0): the least of -sum ln(1 - t w) over a grid of t."""
    grid = (1.0 - np.geomspace(1e-4, 1.0, 60))[:-1] / weights.max()
    return min(float(-np.log1p(-t * weights).sum()) for t in grid)


@functools.lru_cache(maxsize=4096)
def _harmonic(n: int) -> float:
    return float(np.sum(1.0 / np.arange(1, n + 1)))


def evidence_of_ring(
    family: Family,
    name: str,
    ring_id: str,
    null: str,
    log10_p: float,
    *,
    n: int,
    unit: str,
    effect: float,
    distribution: str,
    because: tuple[str, ...],
    statistic: float | None = None,
) -> Evidence:
    """What an exact test about a whole ring comes to; the ``statistic`` is -log10 p unless another one is given."""
    return Evidence(
        family=family,
        result=Result(
            name=name,
            version=1,
            subject=ring_id,
            null=null,
            statistic=-log10_p if statistic is None else statistic,
            p_value=p_from_log10(log10_p),
            log10_e=calibrate_mixture(max(log10_p, -300.0)),
            n=n,
            unit=unit,
            effect=effect,
            method=Exact(distribution=distribution),
            because=because,
        ),
    )
