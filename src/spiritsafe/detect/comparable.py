"""Whom the customers of a ring are compared with that was found by when they ask.

Hours aren't independent of what is asked: evaluations run at night, support bots in office hours, and who asks much is
found in step sooner than who asks little. Ranked among everybody, honest customers that keep the same hours look
strange for that alone. So each is compared with customers of its own kind that send as much, and with none that another
customer of the ring is compared with. See docs/decisions/0022-what-rings-may-show.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.features import digest
from spiritsafe.detect.middles import is_known
from spiritsafe.detect.wealth import log10_wealth
from spiritsafe.stats.evalues import product

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import FloatArray, IntArray

_SIZES = 64
"""More than the powers of two that a count of exchanges can lie between."""


@dataclass(frozen=True, eq=False)
class Dealt:
    """``member`` are the rows of the accounts that are compared and ``party`` their customers by number, both
    [members]. Each pair is a place in ``member`` and the row of one account that it is compared with, both [pairs].
    """

    member: IntArray
    party: IntArray
    place: IntArray
    other: IntArray

    def log10_e(self, statistic: FloatArray) -> tuple[float, int, int]:
        """The wealth of a bet against each customer, multiplied; the customers it was made against, and how many others
        one of them was compared with in the middle. ``statistic`` is of all accounts.

        A customer and those it is compared with are exchangeable if it is honest, so the rank of each of its accounts
        is a bet, and the mean over its accounts is one however alike they are. No account serves two customers, so the
        bets against honest ones are independent, and multiply.
        """
        asked = is_known(statistic[self.member])[self.place] & is_known(statistic[self.other])
        place, other = self.place[asked], self.other[asked]
        n = np.bincount(place, minlength=len(self.member))
        above = statistic[other] >= statistic[self.member[place]]
        as_high = np.bincount(place, weights=above, minlength=len(self.member))
        bets: dict[int, list[float]] = {}
        for size in np.unique(n[n > 0]).tolist():
            some = np.flatnonzero(n == size)
            won = 10.0 ** log10_wealth((1.0 + as_high[some]) / (size + 1.0), size)
            for party, wealth in zip(self.party[some].tolist(), won.tolist(), strict=True):
                bets.setdefault(party, []).append(wealth)
        against = int(np.median(n[n > 0])) if bets else 0
        return product([float(np.log10(np.mean(wealth))) for wealth in bets.values()]), len(bets), against


@dataclass(frozen=True, eq=False)
class Comparable:
    """Of all accounts that were scored [accounts]: ``stratum``, equal for those of one kind that send as much, the
    number of their ``customer``, and an ``order`` of them that has nothing to do with what they do. ``looks`` is how
    often rings were looked for in this traffic: each was another chance to err, and is paid for.
    """

    stratum: IntArray
    customer: IntArray
    order: IntArray
    looks: int = 1

    @classmethod
    def of(
        cls, names: Sequence[str], kind: IntArray, exchanges: IntArray, customer: IntArray, looks: int = 1
    ) -> Comparable:
        """As much is within a factor of two: between the same powers of it."""
        size = np.log2(np.maximum(exchanges, 1)).astype(np.int64)
        order = np.argsort(np.array([digest("account", name) for name in names], dtype=np.uint64), kind="stable")
        return cls(kind * _SIZES + size, customer, order, max(looks, 1))

    def deal(self, parties: Sequence[IntArray]) -> Dealt:
        """Deal out all comparable customers, one account of each, evenly among the ``parties``: the rows of a ring's
        accounts by customer. Of a party those accounts are compared that lie in the stratum where most of it lies; one
        for which nobody is left has nothing said of it.
        """
        mine = [self._alike(party) for party in parties]
        inside = self.customer[np.concatenate([self.order[:0], *parties])]
        free = self.order[~np.isin(self.customer[self.order], inside)]
        free = free[np.sort(np.unique(self.customer[free], return_index=True)[1])]
        where = np.array([self.stratum[party[0]] for party in mine], dtype=np.int64)
        member: list[int] = []
        owner: list[int] = []
        place: list[IntArray] = [self.order[:0]]
        other: list[IntArray] = [self.order[:0]]
        for stratum in np.unique(where).tolist():
            here, pool = np.flatnonzero(where == stratum), free[self.stratum[free] == stratum]
            each = max(len(pool) // len(here), 1)
            for nth, number in enumerate(here[: len(pool)].tolist()):
                rows = mine[number]
                place.append(np.repeat(np.arange(len(rows)) + len(member), each))
                other.append(np.tile(pool[nth * each : (nth + 1) * each], len(rows)))
                member += rows.tolist()
                owner += [number] * len(rows)
        return Dealt(
            np.array(member, np.int64), np.array(owner, np.int64), np.concatenate(place), np.concatenate(other)
        )

    def _alike(self, party: IntArray) -> IntArray:
        """Those of the rows that lie where most of them do; the first stratum of several."""
        strata, counts = np.unique(self.stratum[party], return_counts=True)
        alike: IntArray = party[self.stratum[party] == strata[counts.argmax()]]
        return alike
