"""How it is drawn: how long the answers are, and how long they may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from spiritsafe.detect.account.sums import Sums
from spiritsafe.detect.types import UNKNOWN, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.calls import Calls
    from spiritsafe.detect.types import Family, IntArray, Peers, Rows, Tracker

LEAST = 8


class Lengths:
    """The tokens that an account draws a call, or has room made for if that is more (``max_tokens``), as the mean of
    their logarithms, less two standard errors.

    Who trains on answers wants them long and never cut off. So do writers and programmers: ranked by kind.
    """

    name = "lengths"
    version = 1
    sees: Literal["calls"] = "calls"
    family: Family = "drawn"
    null = "this account draws answers as long as honest tenants of its kind do"
    needs_peers = False
    by_kind = True
    weight = 1.0
    clears = "work whose results are long, such as reports or programs, would clear it"

    def features(self, calls: Calls) -> Rows:
        """Whether a length is known, its logarithm to base 2 and the square of that [n, 3]."""
        room = np.fmax(calls.param("completion_tokens"), calls.param("max_tokens"))
        known = room > 0.0
        length = np.log2(np.where(known, room, 1.0))
        return np.column_stack([known, length, length**2]).astype(np.float32)

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing."""
        return Sums(3)

    def from_state(self, state: bytes) -> Tracker:
        """The tracker whose ``state`` this was."""
        return Sums.from_state(state)

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: the typical length in tokens. Unknown below ``LEAST`` calls of which it is known."""
        known, total, squares = (windows[:, column].astype(np.float64) for column in (1, 2, 3))
        n = np.maximum(known, 2.0)
        mean = total / n
        error = np.sqrt(np.maximum(squares / n - mean**2, 0.0) / n)
        bound = np.where(known >= LEAST, mean - 2.0 * error, UNKNOWN)
        return Measured(bound, np.exp2(mean), known.astype(np.int64))

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return f"its {n} calls draw, or make room for, {effect:,.0f} tokens each"
