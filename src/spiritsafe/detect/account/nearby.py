"""The peers that ask about the same: how a statistic is held against the kind of tenant that an account is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import BoolArray, FloatArray, IntArray, Rows

LEAST = 5
"""Unlinked peers without which there is nothing to compare with."""

_BLOCK = 256
_MAD, _FAR = 1.4826, 2.0


class Nearby(NamedTuple):
    """For each of m windows the rows of its nearest peers [m, k], nearest first, and which of them there are: an
    account with fewer unlinked peers than k has the rest marked out.
    """

    row: IntArray
    there: BoolArray

    def enough(self) -> BoolArray:
        """Which windows have peers to compare with."""
        found: BoolArray = self.there.sum(axis=1) >= LEAST
        return found

    def moments(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the peers' ``values`` [peers, ...] about each window: [m, ...], zeros without peers."""
        shape = (*self.there.shape, *(1,) * (values.ndim - 1))
        there = self.there.reshape(shape).astype(np.float64)
        n = np.maximum(there.sum(axis=1), 1.0)
        mean = np.zeros((len(self.row), *values.shape[1:]))
        variance = np.zeros_like(mean)
        for at in range(0, len(self.row), _BLOCK):
            part = slice(at, at + _BLOCK)
            around, weight = values[self.row[part]], there[part]
            mean[part] = (around * weight).sum(axis=1) / n[part]
            apart = (around - mean[part, None]) * weight
            variance[part] = (apart**2).sum(axis=1) / np.maximum(n[part] - 1.0, 1.0)
        return mean, variance

    def thinned(self, most: int) -> Nearby:
        """At most so many of them, spread evenly from the nearest to the farthest."""
        k = self.row.shape[1]
        at = np.unique(np.linspace(0, k - 1, most).round().astype(np.int64)) if k > most else np.arange(k)
        return Nearby(self.row[:, at], self.there[:, at])

    def middles(self, values: FloatArray, floor: FloatArray | float) -> tuple[FloatArray, FloatArray]:
        """Median and variance of the peers' ``values`` [peers, c] about each window, [m, c]: what half of the peers say
        counts, whatever the others are.

        Deviations count up to ``_FAR`` times the usual one, which is at least ``floor`` [c]. Zeros without peers.
        """
        middle = np.zeros((len(self.row), values.shape[1]))
        variance = np.zeros_like(middle)
        if not self.there.any():
            return middle, variance
        whole = self.there.all(axis=1)
        for at in np.array_split(np.flatnonzero(whole), max(1, -(-int(whole.sum()) // _BLOCK))):
            middle[at], variance[at] = _middle(values[self.row[at]], floor)
        for one in np.flatnonzero(~whole & self.there.any(axis=1)).tolist():
            around = values[self.row[one][self.there[one]]]
            middle[[one]], variance[[one]] = _middle(around[None], floor)
        return middle, variance


def nearest(
    points: Rows | FloatArray,
    peers: Rows | FloatArray,
    k: int,
    left_out: Sequence[IntArray],
    lengths: FloatArray | None = None,
) -> Nearby:
    """The ``k`` peers at the smallest Euclidean distance; ``left_out[i]`` are not to be compared with point i.

    ``lengths`` [peers] may stand for the peers' squared lengths, where those are estimated.
    """
    k = min(k, len(peers))
    row = np.zeros((len(points), k), dtype=np.int64)
    there = np.zeros((len(points), k), dtype=bool)
    if not k:
        return Nearby(row, there)
    # In double precision, so that which of two near peers is nearer doesn't hang on how many are compared at once.
    points, turned = points.astype(np.float64), np.ascontiguousarray(-2.0 * peers.T.astype(np.float64))
    lengths = np.einsum("ij,ij->i", peers, peers) if lengths is None else lengths
    held = np.empty((_BLOCK, len(peers)))
    for start in range(0, len(points), _BLOCK):
        part = points[start : start + _BLOCK]
        apart = np.matmul(part, turned, out=held[: len(part)])
        apart += lengths
        for at in range(len(part)):
            apart[at, left_out[start + at]] = np.inf
        some = np.argpartition(apart, k - 1, axis=1)[:, :k]
        far = np.take_along_axis(apart, some, axis=1)
        order = np.argsort(far, axis=1)
        row[start : start + len(part)] = np.take_along_axis(some, order, axis=1)
        there[start : start + len(part)] = np.isfinite(np.take_along_axis(far, order, axis=1))
    return Nearby(row, there)


def itself(peers: Rows | FloatArray) -> list[IntArray]:
    """What to leave out when peers are compared with one another: each itself."""
    return [np.array([row]) for row in range(len(peers))]


def _middle(around: FloatArray, floor: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    """Median and bounded variance of [m, k, c] over k: [m, c]."""
    held = np.ascontiguousarray(around.transpose(0, 2, 1))
    middle = _median(held)
    apart = np.abs(held - middle[..., None])
    usual = np.maximum(_MAD * _median(apart), floor)
    variance: FloatArray = np.mean(np.minimum(apart, _FAR * usual[..., None]) ** 2, axis=2)
    return middle, variance


def _median(values: FloatArray) -> FloatArray:
    """Over the last axis; a sort of few contiguous numbers is quicker than numpy's own."""
    ordered, k = np.sort(values, axis=-1), values.shape[-1]
    return np.asarray((ordered[..., (k - 1) // 2] + ordered[..., k // 2]) / 2.0)
