"""What an account comes to, held against the peers that ask for the same sorts of things in the same shares."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spiritsafe.detect.account.nearby import Nearby, itself, nearest

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


class Standing(NamedTuple):
    """Windows and the peers themselves, each with the peers around it. ``kept`` are the rows of the peers that were
    compared with, which ``near`` and ``among`` count in.

    A ring whose members share nothing is its own nearest kind. So peers are taken from a twentieth of all, spread over
    it, and held against by medians: then it takes half of a neighbourhood to hide in.
    """

    kept: IntArray
    windows: Shares
    peers: Shares
    near: Nearby
    among: Nearby

    @classmethod
    def of(cls, windows: Rows, peers: Rows, left_out: Sequence[IntArray]) -> Standing:
        """From windows [prompts, sorts...] of both; by Hellinger distance. No peers may have any width."""
        peers = peers if len(peers) else windows[:0]
        step = max(1, -(-len(peers) // MOST_PEERS))
        kept = np.arange(0, len(peers), step)
        mine, theirs = Shares.of(windows), Shares.of(peers[kept])
        asked = peers[kept, 0] > 0.0
        left = [out[out % step == 0] // step for out in left_out]
        ends = np.cumsum([0, *map(len, left)], dtype=np.int64)
        flat = np.concatenate([*left, np.zeros(0, dtype=np.int64)]).astype(np.int64)
        near, among = _neighbours(
            mine.share.tobytes(), theirs.share.tobytes(), asked.tobytes(), flat.tobytes(), ends.tobytes()
        )
        return cls(kept, mine, theirs, near, among)

    def deviations(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """By how much the share of each sort is above that of the peers around [m, sorts]; the same in standard
        deviations; and those of the peers [peers, sorts].

        What varies is how peers differ from one another, and how a window of n prompts varies by itself: as a count
        does, of which one more than was seen is allowed for, so that one odd prompt among few says little.
        """
        usual, size = self.peers.share, float(np.median(self.peers.n)) if len(self.peers.n) else 1.0
        floor = np.sqrt(((usual.mean(axis=0) if len(usual) else 0.0) + _LEAST_SHARE) / size)
        excess, deviations = _apart(self.windows, self.near, usual, floor, 0.0)
        return excess, deviations, _apart(self.peers, self.among, usual, floor, 0.0)[1]

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
        _, theirs = _apart(Shares(self.peers.n, usual), self.among, usual, least, least)
        return self.above(mine[:, 0], theirs[:, 0], _AMONG)


def _apart(
    mine: Shares, near: Nearby, usual: FloatArray, floor: FloatArray | float, least: float
) -> tuple[FloatArray, FloatArray]:
    middle, variance = near.middles(usual, floor)
    excess, n = mine.share - middle, mine.n[:, None]
    return excess, excess / np.sqrt(variance + (middle + 1.0 / n) / n + least**2)


@functools.lru_cache(maxsize=1)
def _neighbours(mine: bytes, theirs: bytes, asked: bytes, left: bytes, ends: bytes) -> tuple[Nearby, Nearby]:
    """Whom windows and peers are held against. Remembered once, since one detector after the other asks for the same
    accounts.
    """
    known = np.frombuffer(asked, dtype=bool)
    flat, bounds = np.frombuffer(left, dtype=np.int64), np.frombuffer(ends, dtype=np.int64)
    roots = [
        np.sqrt(np.frombuffer(shares)).reshape(n, -1 if n else 0)
        for shares, n in ((mine, len(bounds) - 1), (theirs, len(known)))
    ]
    # Who asked nothing is infinitely far from everybody.
    lengths = np.where(known, (roots[1] ** 2).sum(axis=1), np.inf)
    k = max(NEIGHBOURS, len(known) // PART)
    out = [flat[a:b] for a, b in itertools.pairwise(bounds.tolist())], itself(roots[1])
    near, among = (nearest(r, roots[1], k, o, lengths).thinned(MOST_AROUND) for r, o in zip(roots, out, strict=True))
    return near, among
