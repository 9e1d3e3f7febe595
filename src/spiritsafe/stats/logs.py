"""Numbers kept as base-10 logarithms: what is needed so that neither 1e-400 nor 1e+400 is lost."""

from __future__ import annotations

import math
import sys

import numpy as np

from spiritsafe.stats.types import FloatArray

LN10 = math.log(10.0)

LOG10_ZERO = -1e300
"""Stands for the logarithm of 0 wherever a number is stored: JSON has no infinity, and ten to this power is 0."""


def log10_sum(logs: FloatArray, axis: int = -1) -> FloatArray:
    """log10 of the sum of 10**logs along ``axis``, without leaving log space; ``-inf`` entries add nothing."""
    peak = np.max(logs, axis=axis, keepdims=True)
    shift = np.where(np.isneginf(peak), 0.0, peak)
    with np.errstate(divide="ignore"):
        total = np.log10(np.sum(np.power(10.0, logs - shift), axis=axis, keepdims=True))
    return np.asarray(np.squeeze(total + shift, axis=axis), dtype=np.float64)


def p_from_log10(log10_p: float) -> float:
    """The p-value as a float, in (0, 1].

    One too small for a float is rounded up to the smallest normal float, so it stays valid and is never 0.
    """
    if math.isnan(log10_p):
        raise ValueError("log10_p can't be NaN")
    return min(1.0, max(math.pow(10.0, min(log10_p, 0.0)), sys.float_info.min))
