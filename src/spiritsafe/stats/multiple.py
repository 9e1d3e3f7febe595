"""Many hypotheses at once: which to reject so that the error over all of them stays bounded."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spiritsafe.stats.types import BoolArray, FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class Rejections:
    """Which hypotheses are rejected at ``level``, in the order they came.

    ``adjusted`` is, for each, the smallest level at which the same rule would reject it, in (0, 1]; ``rejected`` is
    exactly ``adjusted <= level``. Equal inputs are rejected together.
    """

    rejected: BoolArray
    adjusted: FloatArray
    level: float


def e_bh(log10_es: npt.ArrayLike, q: float) -> Rejections:
    """Reject so that the false discovery rate is at most ``q``, whatever the dependence between the e-values.

    Rejects the k largest, for the largest k whose k-th e-value is at least m / (k q), m being their number.
    Source: Wang & Ramdas (2022), "False discovery rate control with e-values", JRSS B 84(3).
    """
    logs = np.asarray(log10_es, dtype=np.float64)
    if logs.ndim != 1 or not np.all(logs < np.inf):
        raise ValueError("log10_es is a row of logarithms of finite e-values, never NaN or +inf")
    order = np.argsort(-logs, kind="stable")
    ranks = np.arange(1, logs.size + 1)
    needed = math.log10(max(logs.size, 1)) - np.log10(ranks) - logs[order]
    smallest = np.minimum.accumulate(needed[::-1])[::-1]
    return _reject(order, np.power(10.0, np.minimum(smallest, 0.0)), q)


def benjamini_hochberg(p_values: npt.ArrayLike, q: float) -> Rejections:
    """Reject so that the false discovery rate is at most ``q``, if the p-values are independent or PRDS.

    PRDS, positive dependence on each true null, holds for plain conformal p-values against one reference
    (Bates et al. 2023, theorem 2). Source: Benjamini & Hochberg (1995); Benjamini & Yekutieli (2001).
    """
    ps = _p_values(p_values)
    order = np.argsort(ps, kind="stable")
    scaled = ps[order] * (ps.size / np.arange(1, ps.size + 1))
    return _reject(order, np.minimum.accumulate(scaled[::-1])[::-1], q)


def holm(p_values: npt.ArrayLike, alpha: float) -> Rejections:
    """Reject so that the chance of even one false rejection is at most ``alpha``, whatever the dependence.

    Never rejects less than ``bonferroni``. Source: Holm (1979).
    """
    ps = _p_values(p_values)
    order = np.argsort(ps, kind="stable")
    scaled = ps[order] * np.arange(ps.size, 0, -1)
    return _reject(order, np.maximum.accumulate(scaled), alpha)


def bonferroni(p_values: npt.ArrayLike, alpha: float) -> Rejections:
    """Reject every p-value of at most ``alpha`` / m: as ``holm``, and each decision needs no other p-value."""
    ps = _p_values(p_values)
    return _reject(np.arange(ps.size), ps * ps.size, alpha)


def _p_values(p_values: npt.ArrayLike) -> FloatArray:
    ps = np.asarray(p_values, dtype=np.float64)
    if ps.ndim != 1 or not np.all((ps > 0.0) & (ps <= 1.0)):
        raise ValueError("p_values is a row of numbers in (0, 1]")
    return ps


def _reject(order: npt.NDArray[np.intp], adjusted_in_order: FloatArray, level: float) -> Rejections:
    if not 0.0 < level < 1.0:
        raise ValueError(f"the level lies in (0, 1), got {level!r}")
    adjusted = np.empty(order.size, dtype=np.float64)
    adjusted[order] = np.clip(adjusted_in_order, sys.float_info.min, 1.0)
    return Rejections(adjusted <= level, adjusted, level)
