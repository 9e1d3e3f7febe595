"""When: day and night."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from spiritsafe.detect.account.slots import DAY, HOUR, slot_of, unevenness
from spiritsafe.detect.types import UNKNOWN, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.calls import Calls
    from spiritsafe.detect.types import Family, IntArray, Peers, Rows, Tracker

LEAST_DAYS = 3
_FINEST = 0.01
_ROUND = np.sqrt(2.0 * 23.0)


class Rhythm:
    """How little an account sleeps: how evenly its calls lie over the 24 hours of the day, whatever its time zone.

    People sleep, and so do those whom a bot serves; jobs run at their hour. The statistic is minus the logarithm of the
    unevenness of 24 counts (``slots.unevenness``), an upper bound at two standard errors, so few calls say little.
    Fewer than three different days show no rhythm: a batch may well run through a night.
    """

    name = "rhythm"
    version = 1
    sees: Literal["calls"] = "calls"
    family: Family = "when"
    null = "this account keeps day and night as honest tenants of its kind do"
    needs_peers = False
    by_kind = True
    weight = 1.0
    clears = "users on several continents, or a service that watches round the clock, would clear it"

    def features(self, calls: Calls) -> Rows:
        """The hour of the day of each call, and its day [n, 2]."""
        hour = np.mod(slot_of(calls.seconds, HOUR), 24.0)
        return np.column_stack([hour, slot_of(calls.seconds, DAY)]).astype(np.float32)

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing."""
        return _Day()

    def from_state(self, state: bytes) -> Tracker:
        """The tracker whose ``state`` this was."""
        return _Day.from_state(state)

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: the unevenness, 0 for round the clock, 1 for a rate that differs by as much as itself."""
        n, uneven, days = (windows[:, column].astype(np.float64) for column in range(3))
        bound = np.maximum(uneven + 2.0 * _ROUND / np.maximum(n, 2.0), _FINEST)
        return Measured(np.where(days >= LEAST_DAYS, -np.log10(bound), UNKNOWN), uneven, n.astype(np.int64))

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return (
            f"its {n} calls are spread over day and night with an unevenness of {max(effect, 0.0):.2f}"
            " (0: the same at every hour; people have 1 and more)"
        )


class _Day:
    """Counts by the hour of the day, and the first few different days. Its window is [calls, unevenness, days]."""

    def __init__(self) -> None:
        self._hours = np.zeros(24)
        self._days: set[float] = set()

    @classmethod
    def from_state(cls, state: bytes) -> _Day:
        """The tracker whose ``state`` this was."""
        held = np.frombuffer(state, dtype="<f4").astype(np.float64)
        made = cls()
        made._hours, made._days = held[:24].copy(), set(held[24:].tolist())
        return made

    def learn(self, rows: Rows) -> None:
        """Take in calls [n, 2]; those without a time count for nothing."""
        rows = rows[~np.isnan(rows[:, 0])]
        self._hours += np.bincount(rows[:, 0].astype(np.int64), minlength=24)
        if len(self._days) < LEAST_DAYS:
            self._days = set(sorted(self._days | set(rows[:, 1].tolist()))[:LEAST_DAYS])

    def window(self) -> Rows:
        """[calls, unevenness, days] as float32."""
        uneven = unevenness(self._hours, 24.0)
        return np.array([self._hours.sum(), np.nan_to_num(uneven), len(self._days)], dtype=np.float32)

    def state(self) -> bytes:
        """The counts, and the days."""
        return np.array([*self._hours, *sorted(self._days)], dtype="<f4").tobytes()
