"""How it is drawn: with the model's own probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from spiritsafe.detect.account.shares import share_at_least
from spiritsafe.detect.account.sums import Sums
from spiritsafe.detect.types import UNKNOWN, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.calls import Calls
    from spiritsafe.detect.types import Family, IntArray, Peers, Rows, Tracker


class Logprobs:
    """The share of an account's calls that ask for log-probabilities, the lower end of Wilson's interval.

    They are what a student of distributions learns from. Classifiers and evaluations ask for them too: ranked by kind.
    """

    name = "logprobs"
    version = 1
    sees: Literal["calls"] = "calls"
    family: Family = "drawn"
    null = "this account asks for log-probabilities as rarely as honest tenants of its kind do"
    needs_peers = False
    by_kind = True
    weight = 1.0
    clears = "a classifier or an evaluation that reads probabilities, once shown, would clear it"

    def features(self, calls: Calls) -> Rows:
        """Whether each call says anything of it, and whether it asks [n, 2]."""
        asked = calls.param("logprobs")
        return np.column_stack([~np.isnan(asked), np.nan_to_num(asked) > 0.0]).astype(np.float32)

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing."""
        return Sums(2)

    def from_state(self, state: bytes) -> Tracker:
        """The tracker whose ``state`` this was."""
        return Sums.from_state(state)

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: the share. Unknown where no call says anything of it."""
        known, asked = windows[:, 1].astype(np.float64), windows[:, 2].astype(np.float64)
        at_least = np.maximum(known, 1.0)
        bound = np.where(known > 0.0, share_at_least(asked, at_least), UNKNOWN)
        return Measured(bound, asked / at_least, known.astype(np.int64))

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return f"{effect:.0%} of its {n} calls ask for log-probabilities"
