"""Whether directions lean the same way, all of them together: each is compared with the sum of those before it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from spiritsafe.stats.exact import gamma_upper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spiritsafe.detect.types import FloatArray


def agreements(rows: NDArray[np.float32], width: FloatArray, guard: float) -> FloatArray:
    """z [n - 1] of each row's correlation with the sum of the rows before it, shrunk by ``guard``.

    If each row points in a direction of its own, then given those before it each z is close to standard normal
    (Fisher), so they are independent of one another: a chain rule, whatever the order, if that is fixed beforehand.
    """
    if len(rows) < 2:
        return np.zeros(0)
    before = np.cumsum(rows.astype(np.float64), axis=0)[:-1]
    r = np.einsum("ij,ij->i", rows[1:], before) / np.maximum(np.linalg.norm(before, axis=1), 1e-9)
    z = np.arctanh(np.clip(r, -0.9999, 0.9999)) * np.sqrt(np.maximum(width[1:] - 3.0, 0.0)) / guard
    return np.asarray(z, dtype=np.float64)


def log10_given(rows: NDArray[np.float32], width: FloatArray, guard: float) -> float:
    """log10 of the chance that a set that was chosen for other reasons leans so much the same way (Stouffer)."""
    z = agreements(rows, width, guard)
    return max(float(stats.norm.logsf(z.sum() / math.sqrt(len(z)))) / math.log(10.0), -1e6) if len(z) else 0.0


def log10_chosen(rows: NDArray[np.float32], width: FloatArray, guard: float, among: int) -> float:
    """The same for a set that was chosen ``among`` so many because it does: every set of its size, in every order,
    could have been. Fisher's combination of the tails, times ``among`` for each row (Bonferroni).
    """
    z = agreements(rows, width, guard)
    if not len(z):
        return 0.0
    tails = -float(stats.norm.logsf(z).sum())
    return max(min(0.0, gamma_upper(tails, float(len(z))) + len(rows) * math.log10(max(among, 1))), -1e6)
