"""Intervals for a share: how far a count can be trusted."""

from __future__ import annotations

import math

from scipy import special


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval for the chance behind ``k`` successes in ``n`` trials.

    Covers the truth with at least ``confidence``, whatever the truth. For a one-sided bound at level a, take the
    end wanted from the interval of confidence 1 - 2a. No trials give (0, 1). Source: Clopper & Pearson (1934).
    """
    _check(k, n, confidence)
    tail = (1.0 - confidence) / 2.0
    low = float(special.betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    high = float(special.betainccinv(k + 1, n - k, tail)) if k < n else 1.0
    return low, high


def wilson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval for the chance behind ``k`` successes in ``n`` trials.

    Shorter than ``clopper_pearson`` and covers with ``confidence`` on average over truths, not for each: for
    pictures and summaries, not for claims. No trials give (0, 1). Source: Wilson (1927).
    """
    _check(k, n, confidence)
    if n == 0:
        return 0.0, 1.0
    z = -float(special.ndtri((1.0 - confidence) / 2.0))
    share, weight = k / n, z * z / n
    centre = (share + weight / 2.0) / (1.0 + weight)
    half = z * math.sqrt(share * (1.0 - share) / n + weight / (4.0 * n)) / (1.0 + weight)
    # At the ends centre and half are equal; rounding must not leave the truth 0 or 1 outside.
    low = 0.0 if k == 0 else max(0.0, centre - half)
    high = 1.0 if k == n else min(1.0, centre + half)
    return low, high


def _check(k: int, n: int, confidence: float) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"needs k successes of n trials, 0 <= k <= n, got {k!r} of {n!r}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence lies in (0, 1), got {confidence!r}")
