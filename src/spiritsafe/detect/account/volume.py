"""How much: the busiest day of an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from spiritsafe.detect.account.slots import DAY, Slots, slot_of
from spiritsafe.detect.types import UNKNOWN, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.calls import Calls
    from spiritsafe.detect.types import Family, FloatArray, IntArray, Peers, Rows, Tracker

MOST_DAYS = 28


class Volume:
    """How many answers an account draws on its busiest day, an answer for each of ``n``, less two standard errors (so a
    few calls say little), as a logarithm.

    Ranked by kind: a support bot answers a thousand people a day, a student of mathematics does not. Days begin at
    midnight UTC; who is cut in two by that has at least half on one side.
    """

    name = "volume"
    version = 1
    sees: Literal["calls"] = "calls"
    family: Family = "when"
    null = "this account draws as much on its busiest day as honest tenants of its kind do"
    needs_peers = False
    by_kind = True
    weight = 1.0
    clears = "a launch, a batch of its own or many users behind it, once shown, would clear it"

    def features(self, calls: Calls) -> Rows:
        """The day of each call and the answers it draws [n, 2]."""
        answers = np.fmax(calls.param("n"), 1.0)
        return np.column_stack([slot_of(calls.seconds, DAY), answers]).astype(np.float32)

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing."""
        return Slots(MOST_DAYS, 1, _summary)

    def from_state(self, state: bytes) -> Tracker:
        """The tracker whose ``state`` this was."""
        return Slots(MOST_DAYS, 1, _summary).restored(state)

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: answers on the busiest day. Unknown where no call has a time."""
        n, busiest = windows[:, 0].astype(np.float64), windows[:, 1].astype(np.float64)
        bound = np.maximum(busiest - 2.0 * np.sqrt(busiest), 0.5)
        return Measured(np.where(n > 0.0, np.log10(bound), UNKNOWN), busiest, n.astype(np.int64))

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return f"on the busiest day of its {n} calls it drew {effect:,.0f} answers"


def _summary(days: IntArray, sums: FloatArray) -> list[float]:
    """[calls, answers on the busiest day]."""
    return [float(sums[:, 0].sum()), float(sums[:, 1].max(initial=0.0))]
