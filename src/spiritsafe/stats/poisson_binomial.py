"""The number of successes when every trial has its own chance."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from spiritsafe.stats.logs import LN10
from spiritsafe.stats.types import FloatArray

_STEPS = 200


def poisson_binomial_upper(k: int, chances: npt.ArrayLike) -> float:
    """log10 P(X >= k), X the number of successes in independent trials whose ``chances`` lie in [0, 1].

    Exact up to rounding, far below where a float underflows: the chances are tilted until ``k`` is the expected
    count, the tilted distribution is convolved by FFT, in O(n log(n)**2), and the tilt is taken back. What
    can't happen under the null is an error. Sources: Esscher (1932) for the tilt; Hong (2013) for the distribution.
    """
    ps = np.asarray(chances, dtype=np.float64)
    if ps.ndim != 1 or not np.all((ps >= 0.0) & (ps <= 1.0)):
        raise ValueError("chances is a row of numbers in [0, 1]")
    k -= int(np.count_nonzero(ps == 1.0))
    ps = ps[(ps > 0.0) & (ps < 1.0)]
    if k > ps.size:
        raise ValueError("k is a count that can occur: more successes than trials that can succeed")
    if k <= 0:
        return 0.0
    if k == ps.size:
        return float(np.sum(np.log10(ps)))
    logits = special.logit(ps)
    tilt = _tilt(k, logits) if k > float(ps.sum()) else 0.0
    masses = _distribution(special.expit(logits + tilt))[k:]
    weighted = float(np.sum(masses * np.exp(-tilt * np.arange(masses.size))))
    # ln E[exp(tilt X)]: each trial gives ln(1 - p + p exp(tilt)), which needs no exp(tilt) to be formed.
    cumulant = float(np.sum(np.log1p(-ps) + np.logaddexp(0.0, logits + tilt))) if tilt > 0.0 else 0.0
    return min(0.0, (cumulant - tilt * k + math.log(weighted)) / LN10)


def _tilt(k: int, logits: FloatArray) -> float:
    """The tilt above 0 at which the expected count is ``k``, by bisection to the last digit that matters."""
    low, high = 0.0, 1.0
    while float(special.expit(logits + high).sum()) < k:
        low, high = high, 2.0 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        if high - low <= 1e-12 * high:
            break
        if float(special.expit(logits + middle).sum()) < k:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def _distribution(ps: FloatArray) -> FloatArray:
    """P(X = 0), ..., P(X = n): neighbours are convolved in pairs until one distribution is left."""
    rows = np.stack([1.0 - ps, ps], axis=1)
    while rows.shape[0] > 1:
        if rows.shape[0] % 2:
            certain = np.zeros((1, rows.shape[1]))
            certain[0, 0] = 1.0
            rows = np.concatenate([rows, certain])
        width = 2 * rows.shape[1] - 1
        length = 1 << (width - 1).bit_length()
        spectra = np.fft.rfft(rows, length, axis=1)
        rows = np.maximum(np.fft.irfft(spectra[0::2] * spectra[1::2], length, axis=1)[:, :width], 0.0)
    return np.asarray(rows[0, : ps.size + 1], dtype=np.float64)
