"""The simplest tracker: how many prompts, and the sum of their features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spiritsafe.detect.types import Rows


class Sums:
    """Adds features up. Its window is [count, sums...], so the order of the prompts does not matter."""

    def __init__(self, width: int) -> None:
        self._total = np.zeros(width + 1, dtype=np.float64)

    @classmethod
    def from_state(cls, state: bytes) -> Sums:
        """The tracker whose ``state`` this was."""
        total = np.frombuffer(state, dtype="<f8")
        made = cls(total.size - 1)
        made._total[:] = total
        return made

    def learn(self, rows: Rows) -> None:
        """Take in features [n, width]."""
        self._total[0] += len(rows)
        self._total[1:] += rows[0] if len(rows) == 1 else rows.sum(axis=0, dtype=np.float64)

    def window(self) -> Rows:
        """[count, sums...] as float32."""
        return self._total.astype(np.float32)

    def state(self) -> bytes:
        """The totals themselves."""
        return self._total.astype("<f8").tobytes()
