"""How far a statistic stands from the middle of the accounts that ask about the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.types import UNKNOWN

if TYPE_CHECKING:
    from spiritsafe.detect.types import BoolArray, FloatArray, IntArray

LEAST = 20
"""Accounts of a kind that it takes to have a middle of its own."""

_UPPER, _NARROWEST = 0.9, 0.5


@dataclass(frozen=True, eq=False)
class Middles:
    """``middle`` and ``spread`` of a statistic by kind [kinds + 1], the last for accounts of no kind.

    A harvester is ranked among those that do the same work: a nightly job is no stranger to other nightly jobs. The
    median and the distance from it to the ninth decile bear a tenth of strangers in a kind; a kind whose accounts are
    all alike is taken to be half as wide as all accounts together, so that a hair's breadth counts for nothing.
    """

    middle: FloatArray
    spread: FloatArray

    @classmethod
    def of(cls, statistic: FloatArray, kind: IntArray, kinds: int) -> Middles:
        """Those of some accounts, each of kind 0 to ``kinds``."""
        known = is_known(statistic)
        middle, spread = _middle(statistic[known])
        made = cls(np.full(kinds + 1, middle), np.full(kinds + 1, spread))
        for number in range(kinds):
            mine = statistic[known & (kind == number)]
            if mine.size >= LEAST:
                own, width = _middle(mine)
                made.middle[number], made.spread[number] = own, max(width, _NARROWEST * spread)
        return made

    def standing(self, statistic: FloatArray, kind: IntArray) -> FloatArray:
        """The statistic less the middle of its kind, in the kind's spreads; what is unknown stays so."""
        standing = (statistic - self.middle[kind]) / self.spread[kind]
        return np.where(is_known(statistic), standing, UNKNOWN)


def is_known(statistic: FloatArray) -> BoolArray:
    """Which of some statistics say anything."""
    return np.asarray(statistic > UNKNOWN / 2.0)


def _middle(statistic: FloatArray) -> tuple[float, float]:
    if not statistic.size:
        return 0.0, 1.0
    middle, upper = np.quantile(statistic, (0.5, _UPPER)).tolist()
    return middle, (upper - middle) or 1.0
