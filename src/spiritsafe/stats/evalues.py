"""E-values: made from p-values, combined, and read back. All of them are base-10 logarithms.

An e-value is a number whose expectation under the null is at most 1: the wealth of a bet against the null
that started with 1. Sources: Vovk & Wang (2021), "E-values: calibration, combination and applications",
Annals of Statistics 49(3); Ramdas & Wang (2025), "Hypothesis testing with e-values".
"""

from __future__ import annotations

import math
from typing import overload

import numpy as np
import numpy.typing as npt
from scipy import special

from spiritsafe.stats.logs import LN10, log10_sum
from spiritsafe.stats.types import FloatArray


@overload
def calibrate_power(log10_p: float, kappa: float = ...) -> float: ...
@overload
def calibrate_power(log10_p: FloatArray, kappa: float = ...) -> FloatArray: ...
def calibrate_power(log10_p: float | FloatArray, kappa: float = 0.5) -> float | FloatArray:
    """log10 of the e-value kappa * p**(kappa - 1), for 0 < kappa < 1.

    Small kappa bets on tiny p-values, kappa near 1 hardly bets at all. ``kappa`` is fixed before p is seen.
    Source: Vovk & Wang (2021), section 2.
    """
    if not 0.0 < kappa < 1.0:
        raise ValueError(f"kappa lies in (0, 1), got {kappa!r}")
    return _scalar(math.log10(kappa) + (kappa - 1.0) * _p_values(log10_p))


@overload
def calibrate_mixture(log10_p: float) -> float: ...
@overload
def calibrate_mixture(log10_p: FloatArray) -> FloatArray: ...
def calibrate_mixture(log10_p: float | FloatArray) -> float | FloatArray:
    """log10 of the e-value (1 - p + p ln p) / (p ln(p)**2): the power calibrator averaged over all kappa.

    The house default, since no kappa has to be chosen: 1/2 at p = 1, and about 1 / (p ln(p)**2) when p is
    small. Computed from L = -ln p as exp(L) * P(2, L) / L**2, P the regularised lower incomplete Gamma
    function, which loses digits neither near p = 1 nor at p = 1e-5000. Source: Vovk & Wang (2021), section 2.
    """
    nats = -LN10 * _p_values(log10_p)
    # For tiny L the square would underflow; there P(2, L) / L**2 is 1/2 - L/3 + L**2/8 - O(L**3).
    safe = np.maximum(nats, 1e-5)
    ratio = np.where(nats > 1e-5, special.gammainc(2.0, safe) / safe**2, 0.5 - nats / 3.0 + nats**2 / 8.0)
    return _scalar((nats + np.log(ratio)) / LN10)


@overload
def all_or_nothing(log10_p: float, alpha: float) -> float: ...
@overload
def all_or_nothing(log10_p: FloatArray, alpha: float) -> FloatArray: ...
def all_or_nothing(log10_p: float | FloatArray, alpha: float) -> float | FloatArray:
    """log10 of the e-value that is 1/alpha if p <= alpha and 0 otherwise: a test at one fixed level, as a bet.

    A loss is ``-inf``, and a product never recovers from it. ``alpha`` is fixed before p is seen.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha lies in (0, 1), got {alpha!r}")
    level = math.log10(alpha)
    return _scalar(np.where(_p_values(log10_p) <= level, -level, -np.inf))


@overload
def e_to_p(log10_e: float) -> float: ...
@overload
def e_to_p(log10_e: FloatArray) -> FloatArray: ...
def e_to_p(log10_e: float | FloatArray) -> float | FloatArray:
    """log10 of the p-value min(1, 1/e) (Markov's inequality): the only admissible way back."""
    return _scalar(np.minimum(0.0, -_e_values(log10_e)))


def product(log10_es: npt.ArrayLike) -> float:
    """log10 of the product: an e-value if they are independent, or sequential.

    Sequential: each has conditional expectation at most 1 given everything before it. No e-values give 1.
    One lost bet (``-inf``) loses the product.
    """
    return float(np.sum(_e_values(log10_es)))


def average(log10_es: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """log10 of the mean, an e-value under any dependence; ``weights`` (fixed beforehand) sum to 1.

    No e-values give 1: where nothing was bet, nothing was won. Source: Vovk & Wang (2021), section 3: up to a
    weighted mean with 1, no symmetric rule that is valid under any dependence does better.
    """
    logs = np.atleast_1d(_e_values(log10_es))
    if logs.size == 0:
        return 0.0
    if weights is None:
        return float(log10_sum(logs)) - math.log10(logs.size)
    shares = np.asarray(weights, dtype=np.float64)
    if shares.shape != logs.shape or not np.all(shares >= 0.0) or not math.isclose(shares.sum(), 1.0, rel_tol=1e-9):
        raise ValueError(f"weights: {logs.size} numbers of at least 0 that sum to 1, got {shares.tolist()}")
    with np.errstate(divide="ignore"):
        return float(log10_sum(logs + np.log10(shares)))


def partial_conjunction(log10_es: npt.ArrayLike, r: int = 2) -> float:
    """log10 of an e-value against "at most r - 1 of these nulls are false": drop the r - 1 largest, average the rest.

    Valid under any dependence. If at most r - 1 of the k nulls are false, some k - r + 1 of the e-values belong
    to true nulls, and their mean has expectation at most 1; the mean of the k - r + 1 smallest is never larger
    than that one. So it reports evidence from at least ``r`` sources: however large one e-value, it is
    dropped. Fewer than ``r`` e-values give 1, for then the null is true whatever they are.
    Sources: Benjamini & Heller (2008); Vovk & Wang (2021), section 3.
    """
    if r < 1:
        raise ValueError(f"r counts sources and is at least 1, got {r}")
    logs = np.sort(np.atleast_1d(_e_values(log10_es)))
    return average(logs[: max(logs.size - r + 1, 0)])


def tempered_product(log10_es: npt.ArrayLike, block: int) -> float:
    """log10 of the product of e**(1/block): an e-value when dependence stays within blocks of at most ``block``.

    Which members share a block need not be known, only that blocks are independent of one another and none is
    larger. By Hölder's inequality the expectation of a block's product of ``block``-th roots is at most the
    product of the ``block``-th roots of its expectations, so at most 1, and independent blocks multiply. The
    same bound holds when the members can be coloured with ``block`` colours such that each colour's members are
    independent (Janson 2004), for instance a sequence in which only neighbours closer than ``block`` depend.
    Knowing the blocks, multiply their averages instead: never smaller.
    """
    if block < 1:
        raise ValueError(f"block counts members and is at least 1, got {block}")
    return product(log10_es) / block


def _p_values(log10_p: npt.ArrayLike) -> FloatArray:
    logs = np.asarray(log10_p, dtype=np.float64)
    if not np.all((logs <= 0.0) & (logs > -np.inf)):
        raise ValueError("a p-value lies in (0, 1]: log10_p is finite and at most 0")
    return logs


def _e_values(log10_e: npt.ArrayLike) -> FloatArray:
    logs = np.asarray(log10_e, dtype=np.float64)
    if not np.all(logs < np.inf):
        raise ValueError("an e-value is a finite number of at least 0: log10_e can't be NaN or +inf")
    return logs


def _scalar(values: FloatArray) -> float | FloatArray:
    return float(values) if np.ndim(values) == 0 else values
