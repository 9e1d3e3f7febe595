"""Complementary coverage: whether a set of customers covers a corpus as only work that was dealt out covers it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from spiritsafe.detect.cores import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.cores import Sample
    from spiritsafe.detect.types import BoolArray, FloatArray, HashArray, IntArray

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


class Askers(NamedTuple):
    """What everyone asked, a row an account and question: ``account`` [rows], sorted, is a number below ``accounts``,
    ``question`` [rows] a place in ``cores``, ``times`` [rows] how often it was asked.
    """

    account: IntArray
    question: IntArray
    times: IntArray
    accounts: int
    cores: HashArray

    @classmethod
    def of(cls, samples: Sequence[tuple[Sample, int]]) -> Askers:
        """Of samples that number so many accounts each, one after the other."""
        firsts = np.cumsum([0, *(accounts for _, accounts in samples)]).tolist()
        account = np.concatenate([held.account + first for (held, _), first in zip(samples, firsts, strict=False)])
        cores, question = np.unique(np.concatenate([held.core for held, _ in samples]), return_inverse=True)
        return cls(account, question, np.concatenate([held.times for held, _ in samples]), firsts[-1], cores)

    def asked(self, questions: IntArray) -> BoolArray:
        """Which rows ask one of these questions."""
        wanted = np.zeros(len(self.cores), dtype=bool)
        wanted[questions] = True
        return wanted[self.question]

    def share(self, rows: BoolArray) -> FloatArray:
        """How much of what each account asked is in these rows."""
        every = np.bincount(self.account, minlength=self.accounts)
        return np.bincount(self.account, weights=rows, minlength=self.accounts) / np.maximum(every, 1)


def dealt(everyone: Askers, members: IntArray, customer: IntArray, others: BoolArray) -> Dealt | None:
    """Test the customers of some accounts; ``customer`` says whose each account is, ``others`` [accounts] who counts as
    somebody else. None if nobody else asks so.

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
    rows = rows_of(everyone.account, members)
    share = everyone.share(everyone.asked(everyone.question[rows]))
    drawn = _Draws(everyone.question[rows], customer[everyone.account[rows]], everyone.times[rows])
    tests = (_tested(drawn, everyone, others & (share >= known)) for known in KNOWN)
    found = [test for test in tests if test is not None]
    if not found:
        return None
    best = min(found, key=lambda test: test.log10_p)
    return best._replace(log10_p=min(0.0, best.log10_p + math.log10(len(KNOWN))))


class _Draws(NamedTuple):
    question: IntArray
    customer: IntArray
    times: IntArray


def _tested(drawn: _Draws, everyone: Askers, outsiders: BoolArray) -> Dealt | None:
    """The test with the urn that these outsiders show."""
    urn = np.zeros(len(everyone.cores), dtype=bool)
    urn[everyone.question[outsiders[everyone.account]]] = True
    size = int(urn.sum())
    hit = urn[drawn.question]
    if not hit.any():
        return None
    question = drawn.question[hit]
    # numpy.unique would hash, and take ten times as long.
    pairs = np.sort(drawn.customer[hit] * len(urn) + question)
    own = pairs[np.diff(pairs, prepend=-1) > 0] // len(urn)
    draws, distinct = int(drawn.times[hit].sum()), int((np.bincount(question) > 0).sum())
    shares = np.minimum(np.bincount(own) / size, 1.0 - 1e-12)
    chance = max(-math.expm1(-draws / size), -math.expm1(float(np.log1p(-shares).sum())))
    log10_p = float(stats.binom.logsf(distinct - 1, size, chance)) / math.log(10.0)
    return Dealt(size, int(outsiders.sum()), draws, distinct, chance * size, max(min(log10_p, 0.0), -1e6))
