"""Directions that may lean the same way, and how unlikely it is that two of them agree so much."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spiritsafe.detect.types import FloatArray, IntArray

_BLOCK = 1 << 15


class Directions(NamedTuple):
    """``rows`` [n, d] have length 1, or 0 where they say nothing; each is free in ``width`` [n] dimensions.

    Correlations r become z = atanh(r) sqrt(width - 3), close to standard normal if directions are independent (Fisher),
    and are divided by ``guard``, which stays on the safe side of tails that are a little heavier.

    ``narrow`` says that rows may be concentrated on few coordinates. If the signs of a row's coordinates are symmetric
    and independent given how large they are, r has variance sum(u^2 v^2): 1 / d for rows that spread over d
    coordinates, more for two with their largest ones in the same places, as customers have whose day is the same few
    hours long. They are then free in so many dimensions only. In few dimensions that would cost most of what can be
    seen, since rows that agree do have their largest coordinates in the same places.
    """

    rows: NDArray[np.float32]
    width: FloatArray
    guard: float
    narrow: bool = False

    def of(self, at: IntArray) -> Directions:
        """Some of them."""
        return self._replace(rows=self.rows[at], width=self.width[at])

    def of_pairs(self, r: FloatArray, left: IntArray, right: IntArray) -> FloatArray:
        """z [pairs] of the correlations of rows ``left[i]`` and ``right[i]``."""
        width = np.minimum(self.width[left], self.width[right])
        for start in range(0, len(left) if self.narrow else 0, _BLOCK):
            part = slice(start, start + _BLOCK)
            width[part] = _shared(self.rows[left[part]], self.rows[right[part]], width[part])
        return _fisher(r, width) / self.guard

    def with_sums(self, sums: NDArray[np.floating]) -> FloatArray:
        """z [n] of each row's correlation with a sum of others [n, d], taken as known; 0 with a sum of none."""
        units = sums / np.maximum(np.linalg.norm(sums, axis=1), 1e-9)[:, None]
        width = _shared(self.rows, units, self.width) if self.narrow else self.width
        return _fisher(np.einsum("ij,ij->i", self.rows, units), width) / self.guard


def _shared(one: NDArray[np.floating], other: NDArray[np.floating], width: FloatArray) -> FloatArray:
    overlap = np.einsum("ij,ij->i", one**2, other**2)
    return np.asarray(np.minimum(width, 1.0 / np.maximum(overlap, 1e-9)), dtype=np.float64)


def _fisher(r: NDArray[np.floating], width: FloatArray) -> FloatArray:
    z = np.arctanh(np.clip(r.astype(np.float64), -0.9999, 0.9999)) * np.sqrt(np.maximum(width - 3.0, 0.0))
    return np.asarray(z, dtype=np.float64)
