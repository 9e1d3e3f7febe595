"""When: how regularly calls arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from spiritsafe.detect.account.slots import HOUR, Slots, slot_of, unevenness
from spiritsafe.detect.types import UNKNOWN, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.calls import Calls
    from spiritsafe.detect.types import Family, FloatArray, IntArray, Peers, Rows, Tracker

MOST_HOURS = 28 * 24
LEAST_HOURS = 7 * 24
_FINEST = 0.03


class Evenness:
    """How regularly an account's calls arrive: how little its load varies from hour to hour, from its first to its last
    hour, or over a week if that is longer.

    People come in bursts: a morning's work, a weekend's pause, a piece of news. So do jobs and those whom a bot serves.
    A worker that goes through a list does not, however often a day; one that keeps a pace lies below chance. The
    statistic is minus the logarithm of the unevenness (``slots.unevenness``), an upper bound at two standard errors.
    Honest programs are regular too, hence ranked by kind. Within an hour it is blind: jobs on the minute are honest.
    """

    name = "evenness"
    version = 1
    sees: Literal["calls"] = "calls"
    family: Family = "when"
    null = "this account's calls arrive in bursts as those of honest tenants of its kind do"
    needs_peers = False
    by_kind = True
    weight = 1.0
    clears = "a monitor or a queue that is worked off at a steady pace, once shown, would clear it"

    def features(self, calls: Calls) -> Rows:
        """The hour of each call [n, 1]."""
        return slot_of(calls.seconds, HOUR).astype(np.float32)[:, None]

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing."""
        return Slots(MOST_HOURS, 0, _summary)

    def from_state(self, state: bytes) -> Tracker:
        """The tracker whose ``state`` this was."""
        return Slots(MOST_HOURS, 0, _summary).restored(state)

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: the unevenness, 0 for arrivals by chance at one rate. Unknown without two calls that have a time."""
        n, uneven, hours = (windows[:, column].astype(np.float64) for column in range(3))
        bound = np.maximum(uneven + 2.0 * np.sqrt(2.0 * hours) / np.maximum(n, 2.0), _FINEST)
        return Measured(np.where(n > 1.0, -np.log10(bound), UNKNOWN), uneven, n.astype(np.int64))

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return (
            f"its {n} calls arrive with an unevenness of {effect:.2f} from hour to hour"
            " (0: by chance at one rate, below: paced; most accounts have 2 and more)"
        )


def _summary(hours: IntArray, sums: FloatArray) -> list[float]:
    """[calls, unevenness, hours]."""
    span = max(float(hours[-1] - hours[0] + 1), LEAST_HOURS) if len(hours) else LEAST_HOURS
    return [float(sums.sum()), float(np.nan_to_num(unevenness(sums[:, 0], span))), span]
