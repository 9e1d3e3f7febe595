"""Shares that are held back while little is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spiritsafe.detect.types import FloatArray

_Z = 2.0


def share_at_least(count: FloatArray, n: FloatArray) -> FloatArray:
    """The lower end of Wilson's interval for ``count`` of ``n``, at two standard errors; ``n`` is at least 1."""
    share = np.clip(count / n, 0.0, 1.0)
    centre = share + _Z**2 / (2 * n)
    half = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    lower = (centre - half) / (1 + _Z**2 / n)
    # None of many is as little as none of few, also in the last digit.
    return np.where(count > 0.0, np.clip(lower, 0.0, 1.0), 0.0)
