"""Complementary coverage: whether a set of customers covers a corpus as only work that was dealt out covers it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from spiritsafe.detect.cores import pairs_of

if TYPE_CHECKING:
    from spiritsafe.detect.cores import Sample
    from spiritsafe.detect.types import BoolArray, HashArray, IntArray

KNOWN = (0.1, 0.2, 0.35)
"""An outsider shows the corpus if so much of what it asked was asked by the set as well; each share is tried."""


class Dealt(NamedTuple):
    """``urn`` questions are known from ``outsiders`` others; the set asked ``draws`` times from it, ``distinct`` of
    them, where ``expected`` would be many already. ``log10_p`` is the chance of so many.
    """

    urn: int
    outsiders: int
    draws: int
    distinct: int
    expected: float
    log10_p: float


def dealt(inside: Sample, customer: IntArray, outside: Sample) -> Dealt | None:
    """Test a set of customers; ``customer`` [rows of ``inside``] says whose each row is. None if nobody else asks so.

    The urn is what outsiders asked who ask from the same corpus; only draws that fall into it are looked at, so how
    much else there is to ask doesn't matter. Two nulls, and both must be rejected:

    - Each draws again and again from whatever it likes. With ``draws`` in all, a question i that is asked
      l_i times on average is hit with chance 1 - exp(-l_i), so the number of distinct ones has mean at most
      urn (1 - exp(-draws / urn)) (concavity), whoever likes what; and it is a sum of independent indicators, whose
      upper tail is highest when all chances are equal (Hoeffding 1956): binomial. (Draws are taken as Poisson.)
    - Each asks nothing twice, but doesn't know what the others asked: customer u hits a question with chance
      d_u / urn, some customer with 1 - prod(1 - d_u / urn). Within a customer indicators are negatively dependent, so
      the binomial tail is on the safe side.

    Customers that share out one's own work among their own keys are one customer. What neither null covers are
    strangers who ask nothing twice and each have a part of the corpus to themselves: the work dealt out.
    """
    asked = np.unique(inside.core)
    common = np.isin(outside.core, asked)
    _, number = np.unique(outside.account, return_inverse=True)
    share = np.bincount(number, weights=common) / np.maximum(np.bincount(number), 1)
    tests = (_tested(inside, customer, outside.core[share[number] >= known], share >= known) for known in KNOWN)
    found = [test for test in tests if test is not None]
    if not found:
        return None
    best = min(found, key=lambda test: test.log10_p)
    return best._replace(log10_p=min(0.0, best.log10_p + math.log10(len(KNOWN))))


def _tested(inside: Sample, customer: IntArray, known: HashArray, outsiders: BoolArray) -> Dealt | None:
    """The test with the urn that these outsiders show."""
    urn = np.unique(known)
    hit = np.isin(inside.core, urn)
    if not len(urn) or not hit.any():
        return None
    draws, distinct = int(inside.times[hit].sum()), len(np.unique(inside.core[hit]))
    own, _ = pairs_of(customer[hit], inside.core[hit])
    shares = np.minimum(np.bincount(own) / len(urn), 1.0 - 1e-12)
    chance = max(-math.expm1(-draws / len(urn)), -math.expm1(float(np.log1p(-shares).sum())))
    log10_p = float(stats.binom.logsf(distinct - 1, len(urn), chance)) / math.log(10.0)
    return Dealt(len(urn), int(outsiders.sum()), draws, distinct, chance * len(urn), max(min(log10_p, 0.0), -1e6))
