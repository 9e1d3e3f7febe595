"""Whether more of the others point the same way as one of them than independence allows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special, stats

if TYPE_CHECKING:
    from spiritsafe.detect.ring.directions import Directions
    from spiritsafe.detect.types import FloatArray, IntArray

MOST = 256
"""Of one row's neighbours, so many are looked at: a larger group shows as many stars that overlap."""

_BLOCK = 512


class Stars(NamedTuple):
    """``log10_p`` [n]: the chance that any such group forms around a row. ``size`` [n]: the rays that make it so small.
    ``left``, ``right``: the rays of all significant stars.
    """

    log10_p: FloatArray
    size: IntArray
    left: IntArray
    right: IntArray


def stars(directions: Directions, level: float) -> Stars:
    """Look for rows that many others are close to.

    The null: each row points in a direction of its own, independent of the others. Then, given one row, its z with the
    others are independent and close to normal, or on the safe side of it (``Directions``). Of the sorted p-values, the
    k-th says that k rows are at least so close; its binomial tail is bounded by the Poisson terms, and every k that
    could have been picked counts, and so does every row (Berk & Jones 1979; Bonferroni).
    """
    n = len(directions.rows)
    most = min(MOST, n - 1)
    log10_p, size = np.zeros(n), np.zeros(n, dtype=np.int64)
    if most < 1:
        return Stars(log10_p, size, size[:0], size[:0])
    said = (directions.rows != 0).any(axis=1)
    # What is less near than this has no tail below 1 at any k (``_berk_jones``).
    least = float(stats.norm.isf(min((most + 1) / 2.0 / max(int(said.sum()) - 1, 1), 1.0))) - 1e-3
    left, right = [], []
    for start in range(0, n, _BLOCK):
        at = np.arange(start, min(start + _BLOCK, n))
        near, z = _nearest(directions, at, most, least)
        best, picked = _berk_jones(z, int(said.sum()))
        log10_p[at] = np.minimum(0.0, best + math.log10(max(int(said.sum()), 1)))
        size[at] = picked
        sure = np.flatnonzero(log10_p[at] <= level)
        for row in sure.tolist():
            left.append(np.full(picked[row], at[row]))
            right.append(near[row, : picked[row]])
    none = np.zeros(0, dtype=np.int64)
    return Stars(log10_p, size, np.concatenate([none, *left]), np.concatenate([none, *right]))


def _nearest(directions: Directions, at: IntArray, most: int, least: float) -> tuple[IntArray, FloatArray]:
    """For each row of ``at``, the ``most`` others with the highest z above ``least``, the highest first; where there
    are fewer, z is minus infinity.
    """
    rows, width = directions.rows, directions.width
    r = rows[at] @ rows.T
    r[np.arange(len(at)), at] = -np.inf
    # The other's width, and what both have in common, can only make z smaller, so few pairs have to be looked at.
    root = np.sqrt(np.maximum(width[at] - 3.0, 1e-12))
    low = np.tanh(least * directions.guard / root) if least > 0.0 else np.full(len(at), -1.0)
    one, other = np.nonzero(r > low[:, None])
    z = directions.of_pairs(r[one, other].astype(np.float64), at[one], other)
    order = np.lexsort((-z, one))
    one, other, z = one[order], other[order], z[order]
    place = np.arange(len(one)) - np.searchsorted(one, one)
    kept = place < most
    near = np.zeros((len(at), most), dtype=np.int64)
    found = np.full((len(at), most), -np.inf)
    near[one[kept], place[kept]], found[one[kept], place[kept]] = other[kept], z[kept]
    return near, found


def _berk_jones(z: FloatArray, n: int) -> tuple[FloatArray, IntArray]:
    """log10 of the smallest tail over k, all k counted, and the k."""
    ln_p = stats.norm.logsf(z)
    k = np.arange(1, z.shape[1] + 1)
    ln_mean = ln_p + math.log(max(n - 1, 1))
    ratio = np.exp(np.minimum(ln_mean, 50.0)) / (k + 1)
    # sum over j >= k of mean^j / j! <= mean^k / k! / (1 - mean / (k + 1))
    tail = k * ln_mean - special.gammaln(k + 1) - np.log1p(-np.minimum(ratio, 0.999))
    tail = np.where(ratio < 0.5, tail, 0.0)
    best = tail.argmin(axis=1)
    lowest = np.take_along_axis(tail, best[:, None], axis=1)[:, 0] + math.log(z.shape[1])
    found = np.minimum(lowest, 0.0)
    return found / math.log(10.0), np.where(found < 0.0, best + 1, 0).astype(np.int64)
