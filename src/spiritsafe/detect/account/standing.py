"""What an account comes to, held against the peers that ask for the same sorts of things in the same shares."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spiritsafe.detect.account.nearby import Nearby, itself, nearest
from spiritsafe.detect.types import UNKNOWN, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import FloatArray, IntArray, Rows

NEIGHBOURS, PART = 20, 20
"""Peers to be held against: the nearest twenty, or the nearest twentieth of all where that is more."""

MOST_PEERS, MOST_AROUND = 2000, 40
_LEAST_SHARE = 0.01
_AMONG = 0.5


class Counted(NamedTuple):
    """Windows [prompts, some count, sorts...] read: the ``share`` [m] of what was counted, and ``sums`` without it."""

    share: FloatArray
    sums: Rows

    @classmethod
    def of(cls, rows: Rows) -> Counted:
        """No rows may have any width."""
        n = np.maximum(rows[:, :1].astype(np.float64), 1.0)
        share = (rows[:, 1:2].astype(np.float64) / n).sum(axis=1)
        return cls(np.clip(share, 0.0, 1.0), np.concatenate([rows[:, :1], rows[:, 2:]], axis=1))


class Shares(NamedTuple):
    """``n`` [m] prompts of each window, and the ``share`` [m, sorts] of each sort among them."""

    n: FloatArray
    share: FloatArray

    @classmethod
    def of(cls, sums: Rows) -> Shares:
        """Read windows [prompts, sums of chances of sorts...]."""
        n = np.maximum(sums[:, 0].astype(np.float64), 1.0)
        return cls(n, np.clip(sums[:, 1:].astype(np.float64) / n[:, None], 0.0, 1.0))


class Among:
    """Peers held against one another. ``sums`` [peers, 1 + sorts] are their windows."""

    def __init__(self, sums: Rows) -> None:
        self.shares = Shares.of(sums)
        self.roots = np.sqrt(self.shares.share)
        # Who asked nothing is infinitely far from everybody.
        self.lengths = np.where(sums[:, 0] > 0.0, self.shares.share.sum(axis=1), np.inf)

    @functools.cached_property
    def near(self) -> Nearby:
        """The peers around each, itself left out."""
        return self.around(self.roots, itself(self.roots))

    @functools.cached_property
    def deviations(self) -> FloatArray:
        """How far the share of each sort stands above that of the peers around [peers, sorts]."""
        return _apart(self.shares, self.near, self.shares.share, self.floor(), 0.0)[1]

    def around(self, roots: FloatArray, left_out: Sequence[IntArray]) -> Nearby:
        """The peers around windows, given by the roots of their shares."""
        k = max(NEIGHBOURS, len(self.roots) // PART)
        return nearest(roots, self.roots, k, left_out, self.lengths).thinned(MOST_AROUND)

    def floor(self) -> FloatArray | float:
        """The least deviation of each sort's share: what windows of the peers' size vary by themselves."""
        if not len(self.roots):
            return 1.0
        usual = self.shares.share.mean(axis=0) + _LEAST_SHARE
        return np.asarray(np.sqrt(usual / np.median(self.shares.n)), dtype=np.float64)


class Standing(NamedTuple):
    """Windows held against the peers around them. ``kept`` are the rows of the peers that were compared with, which
    ``near`` counts in.

    A ring whose members share nothing is its own nearest kind. So peers are taken from a twentieth of all, spread over
    it, and held against by medians: then it takes half of a neighbourhood to hide in.
    """

    kept: IntArray
    windows: Shares
    among: Among
    near: Nearby

    @classmethod
    def of(cls, windows: Rows, peers: Rows, left_out: Sequence[IntArray]) -> Standing:
        """From windows [prompts, sorts...] of both; by Hellinger distance. No peers may have any width."""
        peers = peers if len(peers) else windows[:0]
        step = max(1, -(-len(peers) // MOST_PEERS))
        kept = np.arange(0, len(peers), step)
        left = [out[out % step == 0] // step for out in left_out]
        ends = np.cumsum([0, *map(len, left)], dtype=np.int64)
        flat = np.concatenate([*left, np.zeros(0, dtype=np.int64)]).astype(np.int64)
        held = np.ascontiguousarray(peers[kept], dtype=np.float32).tobytes()
        mine = np.ascontiguousarray(windows, dtype=np.float32).tobytes()
        near = _near(mine, held, flat.tobytes(), ends.tobytes(), windows.shape[1])
        return cls(kept, Shares.of(windows), _among(held, windows.shape[1]), near)

    def deviations(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """By how much the share of each sort is above that of the peers around [m, sorts]; the same in standard
        deviations; and those of the peers [peers, sorts].

        What varies is how peers differ from one another, and how a window of n prompts varies by itself: as a count
        does, of which one more than was seen is allowed for, so that one odd prompt among few says little.
        """
        excess, deviations = _apart(self.windows, self.near, self.among.shares.share, self.among.floor(), 0.0)
        return excess, deviations, self.among.deviations

    def above(self, statistic: FloatArray, of_peers: FloatArray, floor: float) -> FloatArray:
        """How many deviations a statistic [m] lies above that of the peers around; ``floor`` is the least deviation."""
        middle, variance = self.near.middles(of_peers[:, None], floor)
        return np.asarray((statistic - middle[:, 0]) / np.sqrt(variance[:, 0] + floor**2), dtype=np.float64)

    def share_above(self, share: FloatArray, of_peers: FloatArray, least: float) -> FloatArray:
        """How far a share [m] of the prompts stands above that of the peers around, in deviations of ``least`` or
        more; and that against what those peers come to among their own.
        """
        usual = of_peers[:, None]
        _, mine = _apart(Shares(self.windows.n, share[:, None]), self.near, usual, least, least)
        _, theirs = _apart(Shares(self.among.shares.n, usual), self.among.near, usual, least, least)
        return self.above(mine[:, 0], theirs[:, 0], _AMONG)

    def measured(self, statistic: FloatArray, effect: FloatArray) -> Measured:
        """A statistic [m] and its effect; unknown where there are too few peers to have compared with."""
        known = np.where(self.near.enough(), statistic, UNKNOWN)
        return Measured(known, effect, self.windows.n.astype(np.int64))


def _apart(
    mine: Shares, near: Nearby, usual: FloatArray, floor: FloatArray | float, least: float
) -> tuple[FloatArray, FloatArray]:
    middle, variance = near.middles(usual, floor)
    excess, n = mine.share - middle, mine.n[:, None]
    return excess, excess / np.sqrt(variance + (middle + 1.0 / n) / n + least**2)


@functools.lru_cache(maxsize=2)
def _among(peers: bytes, width: int) -> Among:
    """Peers stay the same while one window after the other is held against them."""
    return Among(np.frombuffer(peers, dtype=np.float32).reshape(-1, width))


@functools.lru_cache(maxsize=1)
def _near(windows: bytes, peers: bytes, left: bytes, ends: bytes, width: int) -> Nearby:
    """Whom windows are held against. Remembered once: one detector after the other asks for the same accounts."""
    flat, bounds = np.frombuffer(left, dtype=np.int64), np.frombuffer(ends, dtype=np.int64).tolist()
    roots = np.sqrt(Shares.of(np.frombuffer(windows, dtype=np.float32).reshape(-1, width)).share)
    return _among(peers, width).around(roots, [flat[a:b] for a, b in itertools.pairwise(bounds)])
