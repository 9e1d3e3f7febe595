"""Complementary coverage: whether a set of customers covers a corpus as only work that was dealt out covers it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from spiritsafe.detect.cores import Sample
    from spiritsafe.detect.types import IntArray

KNOWN = 0.10
"""An outsider shows the corpus if this share of what it asked was asked by the set as well."""


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
    knows = share >= KNOWN
    urn = np.unique(outside.core[knows[number]])
    hit = np.isin(inside.core, urn)
    if not len(urn) or not hit.any():
        return None
    draws, distinct = int(inside.times[hit].sum()), len(np.unique(inside.core[hit]))
    own = np.unique(np.stack([customer[hit], inside.core[hit].view(np.int64)], axis=1), axis=0)[:, 0]
    shares = np.minimum(np.bincount(own) / len(urn), 1.0 - 1e-12)
    chances = (-math.expm1(-draws / len(urn)), -math.expm1(float(np.log1p(-shares).sum())))
    chance = max(chances)
    log10_p = float(stats.binom.logsf(distinct - 1, len(urn), chance)) / math.log(10.0)
    found = max(min(log10_p, 0.0), -1e6)
    return Dealt(len(urn), int(knows.sum()), draws, distinct, chance * len(urn), found)
