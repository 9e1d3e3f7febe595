"""An account's shares of the sorts of things it asks for, held against those of the peers that ask most alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spiritsafe.detect.account.nearby import Nearby, itself, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import FloatArray, IntArray, Peers, Rows

NEIGHBOURS = 20


class Held(NamedTuple):
    """Windows held against their peers. ``excess`` [m, sorts] is by how much the share of each sort is above that of
    the peers, ``deviations`` [m, sorts] the same in standard deviations, ``near`` the peers, ``n`` [m] the prompts.
    """

    excess: FloatArray
    deviations: FloatArray
    near: Nearby
    n: FloatArray


def held(windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Held:
    """Hold windows of ``Sums`` over chances of sorts against the peers whose shares are nearest (Hellinger distance).

    What varies is how the peers differ from one another, and how a window of n prompts varies by itself: as a count
    does, of which one more than was seen is allowed for, so that one odd prompt among few says little.
    """
    n, shares = _shares(windows)
    _, usual = _shares(peers.rows)
    # Who asked nothing is infinitely far from everybody.
    lengths = np.where(peers.rows[:, 0] > 0.0, usual.sum(axis=1), np.inf)
    near = nearest(np.sqrt(shares), np.sqrt(usual), NEIGHBOURS, left_out, lengths)
    mean, variance = near.moments(usual)
    excess = shares - mean
    spread = np.sqrt(variance + (mean + 1.0 / n[:, None]) / n[:, None])
    return Held(excess, excess / spread, near, n)


def among_peers(peers: Peers) -> Held:
    """The peers themselves, each held against the others."""
    return held(peers.rows, peers, itself(peers.rows))


def above(statistic: FloatArray, of_peers: FloatArray, near: Nearby, floor: float) -> FloatArray:
    """How many deviations a statistic lies above that of the peers around it; ``floor`` is the least deviation."""
    mean, variance = near.moments(of_peers)
    return np.asarray((statistic - mean) / np.sqrt(variance + floor**2), dtype=np.float64)


def _shares(rows: Rows) -> tuple[FloatArray, FloatArray]:
    n = np.maximum(rows[:, 0].astype(np.float64), 1.0)
    return n, np.clip(rows[:, 1:].astype(np.float64) / n[:, None], 0.0, 1.0)
