"""Accounts whose questions can't be told apart, though each of them asked many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.ring.communities import communities

if TYPE_CHECKING:
    from spiritsafe.detect.types import FloatArray, IntArray, Rows

LEAST_PROMPTS = 48
SAME = 0.006
"""Squared distance between mean embeddings, with two standard errors, below which two accounts ask alike. Honest
accounts of one kind have their own customers, files and habits, and mostly lie .02 to .2 from one another
(docs/log.md).
"""

_SPREAD = 30.0
_BLOCK = 1024


def alike(means: Rows) -> list[IntArray]:
    """Leiden communities of rows [count, sums...] that ask alike, at least three each, in no particular order."""
    counts = means[:, 0].astype(np.float64)
    at = np.flatnonzero(counts >= LEAST_PROMPTS)
    if len(at) < 3:
        return []
    left, right = _near(means[at, 1:].astype(np.float64), counts[at])
    return [at[part] for part in communities(left, right, len(at)) if len(part) >= 3]


def _near(sums: FloatArray, counts: FloatArray) -> tuple[IntArray, IntArray]:
    """Which pairs ask alike: the unbiased squared distance of ``account.population``, its upper end below ``SAME``."""
    mean = (sums / counts[:, None]).astype(np.float32)
    norm = ((sums**2).sum(axis=1) - counts) / (counts * (counts - 1.0))
    error = np.maximum(1.0 - norm, 0.0) / counts
    left: list[IntArray] = []
    right: list[IntArray] = []
    for start in range(0, len(mean), _BLOCK):
        part = slice(start, start + _BLOCK)
        distance = norm[part, None] + norm - 2.0 * (mean[part] @ mean.T)
        noise = np.sqrt(2.0 / _SPREAD) * (error[part, None] + error)
        one, other = np.nonzero(distance + 2.0 * noise < SAME)
        left.append(one + start)
        right.append(other)
    return np.concatenate(left), np.concatenate(right)
