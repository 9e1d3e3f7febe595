"""What is asked: how far an account's prompts lie from the nearest kind of tenant that is not linked to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from spiritsafe.detect.account.sums import Sums
from spiritsafe.detect.types import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import Family, FloatArray, IntArray, Peers, Rows, Tracker
    from spiritsafe.record.sketch import Part, SketchColumns

DIMENSIONS = 256
NEIGHBOURS = 5
FLOOR = -10.0

# Static embeddings of one tenant's prompts spread over some 30 to 80 directions, the widest of which holds a
# ninth of the variance or less; the wider assumption makes the standard error larger, so the test is slower to speak.
_SPREAD, _WIDEST = 30.0, 9.0
_BLOCK = 512


class Population:
    """Squared distance between mean embeddings (an MMD with the linear kernel), unbiased in both sample sizes,
    to the fifth nearest unlinked peer, less two standard errors.

    The fifth nearest and not the whole population: a narrow tenant is far from most people and near to its
    own kind, and being narrow is no offence. Source of the unbiased estimate: Gretton et al. (2012), "A kernel
    two-sample test", equation (3).
    """

    name = "population"
    version = 1
    sees: Literal["prompts"] = "prompts"
    family: Family = "asked"
    null = "this account asks as some kind of honest tenant not linked to it asks"
    parts: frozenset[Part] = frozenset({"embedding"})
    needs_peers = True
    by_kind = False
    every_prompt = False
    clears = "honest customers of its kind in the reference would clear it, or its word on what it is for, once checked"

    def features(self, sketches: SketchColumns) -> Rows:
        """The static embedding of each text, of length 1 (or 0 for a text without words)."""
        assert sketches.embedding is not None
        return sketches.embedding.astype(np.float32)

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing."""
        return Sums(DIMENSIONS)

    def from_state(self, state: bytes) -> Tracker:
        """The tracker whose ``state`` this was."""
        return Sums.from_state(state)

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: the squared distance itself, 0 for one's own kind, near 1 for nothing in common.

        A window with no peer left to compare with is at the floor: nothing can be said against it.
        """
        counts, means, norms = _moments(windows)
        _, peer_means, peer_norms = _moments(peers.rows)
        distance = np.full(len(windows), FLOOR)
        for start in range(0, len(windows), _BLOCK):
            part = slice(start, start + _BLOCK)
            between = norms[part, None] + peer_norms - 2.0 * (means[part] @ peer_means.T)
            for row, absent in enumerate(left_out[part]):
                between[row, absent] = np.inf
            distance[part] = _nearest(between)
        spread = np.maximum(1.0 - norms, 0.0)
        noise = 2.0 * spread**2 / (_SPREAD * counts**2)
        slope = 4.0 * np.maximum(distance, 0.0) * spread / (_WIDEST * counts)
        bound = np.where(distance > FLOOR, distance - 2.0 * np.sqrt(noise + slope), FLOOR)
        return Measured(bound, np.maximum(distance, 0.0), counts.astype(np.int64))

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return (
            f"its {n} distinct prompts lie {effect:.3f} from the nearest kind of tenant not linked to it"
            " (0: the same kind; 1: nothing in common)"
        )


def _moments(rows: Rows) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Counts, mean embeddings, and the unbiased squared length of the true mean."""
    counts = np.maximum(rows[:, 0].astype(np.float64), 2.0)
    sums = rows[:, 1:].astype(np.float64)
    norms = ((sums**2).sum(axis=1) - counts) / (counts * (counts - 1.0))
    return counts, sums / counts[:, None], norms


def _nearest(between: FloatArray) -> FloatArray:
    """The distance to the fifth nearest peer that was not left out, or the farthest of fewer than five; else floor."""
    wanted = min(NEIGHBOURS, between.shape[1])
    if wanted == 0:
        return np.full(len(between), FLOOR)
    nearest = np.sort(np.partition(between, wanted - 1, axis=1)[:, :wanted], axis=1)
    usable = np.isfinite(nearest).sum(axis=1)
    picked = nearest[np.arange(len(between)), np.maximum(usable - 1, 0)]
    return np.where(usable > 0, picked, FLOOR)
