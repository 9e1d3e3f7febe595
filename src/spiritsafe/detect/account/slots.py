"""A tracker of calls by stretches of time: how many fell into each hour or day, and sums over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from spiritsafe.detect.types import FloatArray, IntArray, Rows

HOUR, DAY = 3600.0, 86_400.0


class Slots:
    """Counts by slot. Rows are [slot, values...]; a row whose slot is unknown (NaN) counts for nothing.

    Its window is what ``summary`` makes of the slots (sorted) and their sums [slots, 1 + values], the first of which is
    the count. Of slots that lie far apart the stretch of ``most`` that holds most calls is kept, so a clock that runs
    wrong now and then changes little. Up to there the order of rows does not matter.
    """

    def __init__(self, most: int, values: int, summary: Callable[[IntArray, FloatArray], list[float]]) -> None:
        self._most, self._values, self._summary = most, values, summary
        self._slots = np.zeros(0, dtype=np.int64)
        self._sums = np.zeros((0, 1 + values))

    def learn(self, rows: Rows) -> None:
        """Take in rows [n, 1 + values]; a value that is unknown adds nothing."""
        rows = rows[~np.isnan(rows[:, 0])]
        fresh = np.column_stack([np.ones(len(rows)), np.nan_to_num(rows[:, 1:]).astype(np.float64)])
        slots = np.concatenate([self._slots, rows[:, 0].astype(np.int64)])
        self._slots, at = np.unique(slots, return_inverse=True)
        both = np.concatenate([self._sums, fresh])
        weights = (np.bincount(at, column, minlength=len(self._slots)) for column in both.T)
        self._sums = np.stack(list(weights), axis=1)
        if len(self._slots) > self._most:
            self._slots, self._sums = self._busiest()

    def window(self) -> Rows:
        """What the summary makes of it, as float32."""
        return np.array(self._summary(*self._busiest()), dtype=np.float32)

    def state(self) -> bytes:
        """Each slot with its sums."""
        return np.column_stack([self._slots.astype(np.float64), self._sums]).astype("<f4").tobytes()

    def restored(self, state: bytes) -> Slots:
        """Itself, with what ``state`` held."""
        held = np.frombuffer(state, dtype="<f4").reshape(-1, 2 + self._values).astype(np.float64)
        self._slots, self._sums = held[:, 0].astype(np.int64), held[:, 1:]
        return self

    def _busiest(self) -> tuple[IntArray, FloatArray]:
        slots = self._slots
        if not len(slots) or slots[-1] - slots[0] < self._most:
            return slots, self._sums
        ends = np.searchsorted(slots, slots + self._most)
        total = np.concatenate([[0.0], np.cumsum(self._sums[:, 0])])
        first = int(np.argmax(total[ends] - total[: len(slots)]))
        return slots[first : ends[first]], self._sums[first : ends[first]]


def slot_of(seconds: FloatArray, length: float) -> FloatArray:
    """The number of the slot of each time, NaN where the time is unknown or before 1970; float32 holds it exactly."""
    known = (seconds >= 0.0) & (seconds < 2.0**33)
    return np.where(known, np.floor(np.where(known, seconds, 0.0) / length), np.nan)


def unevenness(counts: FloatArray, bins: float) -> float:
    """By how much a load over ``bins`` equal bins varies: the squared coefficient of variation of the rates behind the
    counts, unbiased (0: as even as chance allows, below: evener). NaN for fewer than two calls.
    """
    n = float(counts.sum())
    return bins * float((counts * (counts - 1.0)).sum()) / (n * (n - 1.0)) - 1.0 if n > 1.0 else float("nan")
