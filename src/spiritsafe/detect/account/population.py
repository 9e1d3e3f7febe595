"""What is asked: how far an account's prompts lie from the nearest kind of tenant that is not linked to it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from spiritsafe.detect.account.nearby import Nearby, itself, nearest
from spiritsafe.detect.account.sums import Sums
from spiritsafe.detect.types import UNKNOWN, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import Family, FloatArray, IntArray, Peers, Rows, Tracker
    from spiritsafe.record.sketch import Part, SketchColumns

DIMENSIONS = 256
NEIGHBOURS, AROUND = 5, 20
FLOOR = 0.005

# Static embeddings of one tenant's prompts spread over some 30 to 80 directions, the widest of which holds a
# ninth of the variance or less; the wider assumption makes the standard error larger, so the test is slower to speak.
_SPREAD, _WIDEST = 30.0, 9.0


class Population:
    """Squared distance between mean embeddings (an MMD with the linear kernel), unbiased in both sample sizes, to the
    fifth nearest unlinked peer, held against what the twenty nearest peers themselves have to theirs: by how many
    standard deviations it is farther, the window's own noise counted among them.

    The fifth nearest and not the whole population: a narrow tenant is far from most people and near to its own kind,
    and being narrow is no offence. And what the peers have: some kinds are close together, others apply all over the
    place. Sources: the unbiased estimate, Gretton et al. (2012), "A kernel two-sample test", equation (3); holding a
    distance against that of one's neighbours, Breunig et al. (2000), "LOF".
    """

    name = "population"
    version = 2
    sees: Literal["prompts"] = "prompts"
    family: Family = "asked"
    null = "this account asks as some kind of honest tenant not linked to it asks"
    parts: frozenset[Part] = frozenset({"embedding"})
    needs_peers = True
    by_kind = False
    weight = 3.0
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

        Unknown for a window with too few peers left to compare with.
        """
        points = _moments(windows)
        among, usual = _among(np.ascontiguousarray(peers.rows, dtype=np.float32).tobytes(), peers.rows.shape[1])
        near, distance = _fifth(points, among, left_out)
        mean, variance = near.moments(usual)
        stands = (distance - mean) / np.sqrt(variance + _noise(points, distance) + FLOOR**2)
        known = near.enough() & (windows[:, 0] > 0.0)
        return Measured(np.where(known, stands, UNKNOWN), np.maximum(distance, 0.0), points.n.astype(np.int64))

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return (
            f"its {n} distinct prompts lie {effect:.3f} from the nearest kind of tenant not linked to it"
            " (0: the same kind; 1: nothing in common)"
        )


class _Moments(NamedTuple):
    """Counts, mean embeddings, and the unbiased squared length of the true mean: infinite where nothing was asked, so
    that nobody is near to it.
    """

    n: FloatArray
    mean: FloatArray
    norm: FloatArray


def _moments(rows: Rows) -> _Moments:
    counts = np.maximum(rows[:, 0].astype(np.float64), 2.0)
    sums = rows[:, 1:].astype(np.float64)
    norms = ((sums**2).sum(axis=1) - counts) / (counts * (counts - 1.0))
    return _Moments(counts, sums / counts[:, None], np.where(rows[:, 0] > 0.0, norms, np.inf))


@functools.lru_cache(maxsize=2)
def _among(peers: bytes, width: int) -> tuple[_Moments, FloatArray]:
    """Peers and the distance each has to its own: they stay while one window after the other is held against them."""
    rows = np.frombuffer(peers, dtype=np.float32).reshape(-1, width)
    among = _moments(rows)
    return among, _fifth(among, among, itself(rows))[1]


def _fifth(points: _Moments, peers: _Moments, left_out: Sequence[IntArray]) -> tuple[Nearby, FloatArray]:
    """The peers with the smallest unbiased distance, and the fifth smallest, or the largest of fewer than five."""
    near = nearest(points.mean, peers.mean, AROUND, left_out, peers.norm)
    if not near.row.shape[1]:
        return near, np.zeros(len(near.row))
    last = np.minimum(near.there.sum(axis=1), NEIGHBOURS) - 1
    rows = near.row[np.arange(len(near.row)), np.maximum(last, 0)]
    between = points.norm + peers.norm[rows] - 2.0 * np.einsum("ij,ij->i", points.mean, peers.mean[rows])
    return near, np.where((last >= 0) & np.isfinite(between), between, 0.0)


def _noise(points: _Moments, distance: FloatArray) -> FloatArray:
    """The variance of a distance that comes of a window's own size."""
    spread = np.clip(1.0 - points.norm, 0.0, 1.0)
    return np.asarray(
        2.0 * spread**2 / (_SPREAD * points.n**2) + 4.0 * np.maximum(distance, 0.0) * spread / (_WIDEST * points.n)
    )
