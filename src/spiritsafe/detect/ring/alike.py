"""Accounts whose questions can't be told apart, though each of them asked many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from spiritsafe.detect.ring.communities import communities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spiritsafe.detect.types import FloatArray, IntArray, Rows

LEAST_PROMPTS = 48
SAME = 0.006
"""Squared distance between mean embeddings, with two standard errors, below which two accounts ask alike. Honest
accounts of one kind have their own customers, files and habits, and mostly lie .02 to .2 from one another
(docs/log.md).
"""

MOST_NEAR = 64
_AS_DENSE = 0.5
_SPREAD = 30.0
_BLOCK = 512


def alike(means: Rows) -> list[IntArray]:
    """Communities of rows [count, sums...] that ask alike, at least three each, in no particular order."""
    counts = means[:, 0].astype(np.float64)
    at = np.flatnonzero(counts >= LEAST_PROMPTS)
    if len(at) < 3:
        return []
    left, right = _near(means[at, 1:].astype(np.float64), counts[at])
    parts = _whole(communities(left, right, len(at)), left, right, len(at))
    return [at[part] for part in parts if len(part) >= 3]


def _near(sums: FloatArray, counts: FloatArray) -> tuple[IntArray, IntArray]:
    """Which pairs ask alike: the unbiased squared distance of ``account.population``, its upper end below ``SAME``.

    Of a row's many like it ``MOST_NEAR`` are kept, spread over all of them.
    """
    mean = (sums / counts[:, None]).astype(np.float32)
    norm = ((sums**2).sum(axis=1) - counts) / (counts * (counts - 1.0))
    error = np.maximum(1.0 - norm, 0.0) / counts
    # norm + norm' - 2 mean.mean' + 2 sqrt(2 / spread) (error + error') < SAME
    reach = ((norm + 2.0 * np.sqrt(2.0 / _SPREAD) * error - SAME / 2.0) / 2.0).astype(np.float32)
    starts = range(0, len(mean), _BLOCK)
    found = [_packed(mean, reach, start) for start in starts]
    many = sum((count for _, count in found), np.zeros(len(mean), dtype=np.int64))
    part = np.minimum(MOST_NEAR / np.maximum(many, 1), 1.0) * (2**32 - 1)
    pairs = [_kept(bits, start, part.astype(np.uint32)) for (bits, _), start in zip(found, starts, strict=True)]
    return np.concatenate([left for left, _ in pairs]), np.concatenate([right for _, right in pairs])


def _packed(mean: Rows, reach: Rows, start: int) -> tuple[NDArray[np.uint8], IntArray]:
    """Which pairs of a block's rows and those from its first on are near, in bits, and how many each row is near to."""
    part = slice(start, start + _BLOCK)
    near = mean[part] @ mean[start:].T > reach[part, None] + reach[start:]
    count = np.zeros(len(mean), dtype=np.int64)
    count[part] = near.sum(axis=1)
    count[start + _BLOCK :] += near[:, _BLOCK:].sum(axis=0)
    return np.packbits(near, axis=1), count


def _kept(bits: NDArray[np.uint8], start: int, part: NDArray[np.uint32]) -> tuple[IntArray, IntArray]:
    """The pairs of a block that are kept: of each row's, ``part`` of 2^32."""
    one, other = np.nonzero(np.unpackbits(bits, axis=1, count=len(part) - start))
    one, other = one + start, other + start
    # Which ones must look like chance: any pattern in it would be found as a community.
    drawn = (one.astype(np.uint32) * np.uint32(0x9E3779B1)) ^ (other.astype(np.uint32) * np.uint32(0x85EBCA77))
    drawn = (drawn ^ (drawn >> np.uint32(15))) * np.uint32(0xC2B2AE35)
    kept = drawn <= np.maximum(part[one], part[other])
    return one[kept], other[kept]


def _whole(parts: list[IntArray], left: IntArray, right: IntArray, rows: int) -> list[IntArray]:
    """Leiden cuts up what is evenly dense: parts are put together between which there are as many links as within."""
    if len(parts) < 2:
        return parts
    of = np.full(rows, -1, dtype=np.int64)
    for number, part in enumerate(parts):
        of[part] = number
    size = np.array([len(part) for part in parts], dtype=np.float64)
    apart = left != right
    pairs = sparse.coo_matrix((np.ones(int(apart.sum())), (of[left[apart]], of[right[apart]])), shape=(len(parts),) * 2)
    links = (pairs + pairs.T).tocoo()
    density = links.data / (size[links.row] * np.maximum(size[links.col] - (links.row == links.col), 1.0))
    within = np.zeros(len(parts))
    within[links.row[links.row == links.col]] = density[links.row == links.col]
    close = density >= _AS_DENSE * np.minimum(within[links.row], within[links.col])
    graph = sparse.coo_matrix((np.ones(int(close.sum())), (links.row[close], links.col[close])), shape=pairs.shape)
    count, label = sparse.csgraph.connected_components(graph, directed=False)
    return [np.sort(np.concatenate([parts[i] for i in np.flatnonzero(label == one).tolist()])) for one in range(count)]
