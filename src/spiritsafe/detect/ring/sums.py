"""Whether directions lean the same way, all of them together: each is compared with the sum of those before it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from spiritsafe.stats.exact import gamma_upper

if TYPE_CHECKING:
    from spiritsafe.detect.ring.directions import Directions
    from spiritsafe.detect.types import FloatArray


def agreements(directions: Directions) -> FloatArray:
    """z [n - 1] of each row's correlation with the sum of the rows before it.

    If each row points in a direction of its own, then given those before it each z is close to standard normal, so they
    are independent of one another: a chain rule, whatever the order, if that is fixed beforehand.
    """
    if len(directions.rows) < 2:
        return np.zeros(0)
    before = np.cumsum(directions.rows.astype(np.float64), axis=0)[:-1]
    return directions.of(np.arange(1, len(directions.rows))).with_sums(before)


def log10_given(directions: Directions) -> float:
    """log10 of the chance that a set that was chosen for other reasons leans so much the same way (Stouffer)."""
    z = agreements(directions)
    return max(float(stats.norm.logsf(z.sum() / math.sqrt(len(z)))) / math.log(10.0), -1e6) if len(z) else 0.0


def log10_chosen(directions: Directions, among: int) -> float:
    """The same for a set that was chosen ``among`` so many because it does: every set of its size, in every order,
    could have been. Fisher's combination of the tails, times ``among`` for each row (Bonferroni).
    """
    z = agreements(directions)
    if not len(z):
        return 0.0
    tails = -float(stats.norm.logsf(z).sum())
    return max(min(0.0, gamma_upper(tails, float(len(z))) + len(directions.rows) * math.log10(max(among, 1))), -1e6)
