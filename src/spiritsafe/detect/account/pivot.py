"""When: a day from which on an account does another thing, or much more of it."""

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
LEAST_BEFORE, LEAST_AFTER = 3, 2
_LEAST_SPREAD = 0.5


class Pivot:
    """The sharpest turn in an account's own past: the largest rise of what it sends a day, in standard errors, over all
    days on which it could have begun.

    Counts are looked at as square roots, so that chance alone spreads them by a half whatever their size, and are held
    against how much they spread on either side. Silent days count. Which model is asked is left out: after a release
    honest accounts turn to the new one as well, and a reference from before would call all of them strange.
    """

    name = "pivot"
    version = 1
    sees: Literal["calls"] = "calls"
    family: Family = "when"
    null = "this account's traffic grows from day to day as that of honest tenants of its kind does"
    needs_peers = False
    by_kind = True
    weight = 1.0
    clears = "a launch or a new use that began that day would clear it"

    def features(self, calls: Calls) -> Rows:
        """The day of each call [n, 1]."""
        return slot_of(calls.seconds, DAY).astype(np.float32)[:, None]

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing."""
        return Slots(MOST_DAYS, 0, _summary)

    def from_state(self, state: bytes) -> Tracker:
        """The tracker whose ``state`` this was."""
        return Slots(MOST_DAYS, 0, _summary).restored(state)

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: by how many times it sent more a day. Unknown before there are days enough on both sides."""
        n, sharp, times = (windows[:, column].astype(np.float64) for column in range(3))
        return Measured(np.where(sharp > UNKNOWN / 2.0, sharp, UNKNOWN), times, n.astype(np.int64))

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return f"of its {n} calls, from one day on {effect:.1f} times as many came a day as before"


def _summary(days: IntArray, sums: FloatArray) -> list[float]:
    """[calls, sharpness, how many times more]."""
    n = float(sums.sum())
    span = int(days[-1] - days[0] + 1) if len(days) else 0
    if span < LEAST_BEFORE + LEAST_AFTER:
        return [n, UNKNOWN, 0.0]
    counts = np.zeros(span)
    counts[days - days[0]] = sums[:, 0]
    roots = np.sqrt(counts)
    before = np.arange(LEAST_BEFORE, span - LEAST_AFTER + 1, dtype=np.float64)
    total, squares = np.cumsum(roots), np.cumsum(counts)
    at = before.astype(np.int64) - 1
    after = span - before
    low, high = total[at] / before, (total[-1] - total[at]) / after
    within = squares[-1] - before * low**2 - after * high**2
    spread = np.maximum(np.sqrt(np.maximum(within, 0.0) / (span - 2.0)), _LEAST_SPREAD)
    sharp = (high - low) / (spread * np.sqrt(1.0 / before + 1.0 / after))
    best = int(sharp.argmax())
    sent_before = squares[at[best]] / before[best]
    sent_after = (squares[-1] - squares[at[best]]) / after[best]
    return [n, float(sharp[best]), sent_after / max(sent_before, 1.0 / span)]
