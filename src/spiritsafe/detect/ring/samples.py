"""How it is drawn: every question asked equally often, as whoever draws several answers to each question does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special, stats

from spiritsafe.detect.cores import MOST_CORES, pairs_of
from spiritsafe.detect.wealth import evidence_of_ring
from spiritsafe.stats.result import Evidence

if TYPE_CHECKING:
    from spiritsafe.detect.cores import Sample
    from spiritsafe.detect.types import FloatArray, HashArray, IntArray

LEAST_QUESTIONS = 200
SMALL, NEAR = 12, 3
"""Frequencies up to the first, so far apart, are where most of the level is spent: a few answers to each question."""

MOST_TIMES, FAR = 768, (1, 2, 3, 5, 8, 13, 21, 34, 55)
"""The largest frequency looked at, and how far apart frequencies are that are compared. A corpus that was dealt out
over and over is asked nearly equally often too.
"""

_ON_SMALL = 0.9

GUARD = 1.5
"""By so much the deviation over parties is raised: measured where each asks one stretch of a corpus."""

_AT_ONCE = 32
_NULL = "whoever asks a question doesn't know how often others asked it before"


def log10_equal(party: IntArray, question: IntArray) -> tuple[float, int]:
    """log10 of a bound on the chance that questions are asked so equally often, and how often that is.

    Row i says that ``party[i]`` asked ``question[i]`` (numbers from 0 on), each pair once. If parties ask independently
    of one another, each question's frequency is a mixture of binomials, whatever is popular, and of n parties F(k)
    questions asked by k of them, in expectation, have

        F(k)^2 / C(n, k)^2 <= F(k - j) F(k + j) / (C(n, k - j) C(n, k + j))

    (Cauchy-Schwarz). Parties of unequal size are closer to fewer equal ones: n is how often the largest goes into all.
    The logarithm of the quotient is held against its own deviation and read as normal. Parties are independent and
    questions are not: two that work through the same chapter ask all of it, each question exactly twice. So the
    variance is that of independent questions, 4 / F(k) + 1 / F(k - j) + 1 / F(k + j), and what parties add to it, with
    a guard: the jackknife's, each left out in turn, less what it would be if chance alone said who asks which of the
    questions that k ask (a jackknife is too large by that: Efron & Stein 1981). Where few questions are asked k - j or
    k + j times nothing is taken off. A half is added to each count. Every k and j was looked at (Bonferroni, nine
    tenths of the level on small ones). Questions that are taken for the same change nothing else.
    """
    times = np.bincount(question)
    if len(times) < LEAST_QUESTIONS:
        return 0.0, 0
    sizes = np.bincount(party)
    n = len(party) / int(sizes.max())
    width = min(int(times.max()), MOST_TIMES) + FAR[-1] + 2
    capped = np.minimum(times, width - 1)
    f = np.bincount(capped, minlength=width).astype(np.float64)
    k, j, price = _looked_at(min(int(times.max()), MOST_TIMES))
    told = np.flatnonzero((k + j <= n) & (f[k] >= LEAST_QUESTIONS / 4))
    if not len(told):
        return 0.0, 0
    k, j, price = k[told], j[told], price[told]
    # Without a party, each of its questions is asked once less.
    own = np.bincount(party * width + capped[question], minlength=len(sizes) * width).reshape(-1, width)
    jackknife = np.zeros(len(k))
    for start in range(0, len(k), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        log = [np.log(f[of] - own[:, of] + own[:, of + 1] + 0.5) for of in (k[some], (k - j)[some], (k + j)[some])]
        spread = 2.0 * log[0] - log[1] - log[2]
        jackknife[some] = (len(sizes) - 1.0) / len(sizes) * ((spread - spread.mean(axis=0)) ** 2).sum(axis=0)
    log_f = np.log(f + 0.5)
    quotient = 2.0 * log_f[k] - log_f[k - j] - log_f[k + j]
    counted = 4.0 / (f[k] + 0.5) + 1.0 / (f[k - j] + 0.5) + 1.0 / (f[k + j] + 0.5)
    among = 4.0 * _chance(f, k, sizes) + _chance(f, k - j, sizes) + _chance(f, k + j, sizes)
    among *= np.minimum(f[k - j], f[k + j]) >= LEAST_QUESTIONS / 8
    z = (quotient - _bound(n, k, j)) / np.sqrt(counted + GUARD**2 * np.maximum(jackknife - among, 0.0))
    log10_p = stats.norm.logsf(z) / math.log(10.0) + price
    best = int(log10_p.argmin())
    return max(min(float(log10_p[best]), 0.0), -300.0), int(k[best])


def _chance(f: FloatArray, k: IntArray, sizes: IntArray) -> FloatArray:
    """What the squared changes of ln F(k), a party left out in turn, add up to if each question that is asked by k of
    them is asked by these or those by chance alone.
    """
    same = float(((sizes / sizes.sum()) ** 2).sum())

    def varies(of: IntArray) -> FloatArray:
        return np.asarray(f[of] * np.maximum(of - same * of.astype(np.float64) ** 2, 0.0))

    return np.asarray((varies(k) + varies(k + 1)) / (f[k] + 0.5) ** 2)


def _looked_at(most: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Each k and j, and log10 of what it costs to have looked at all of them."""
    small = [(k, j) for j in range(1, NEAR + 1) for k in range(j + 1, SMALL + 1 - j)]
    large = [(k, j) for j in FAR for k in range(j + 1, most + 1) if k + j > SMALL or j > NEAR]
    k, j = np.array([*small, *large], dtype=np.int64).T
    price = [math.log10(len(small) / _ON_SMALL)] * len(small) + [
        math.log10(max(len(large), 1) / (1.0 - _ON_SMALL))
    ] * len(large)
    return k, j, np.array(price)


def _bound(n: float, k: IntArray, j: IntArray) -> FloatArray:
    """ln C(n, k)^2 / (C(n, k - j) C(n, k + j)); n need not be whole, and where k + j exceeds it there is none: 0."""

    def ways(of: IntArray) -> FloatArray:
        return np.asarray(-special.gammaln(of + 1.0) - special.gammaln(np.maximum(n - of, 0.0) + 1.0))

    return np.asarray(np.where(k + j <= n, 2.0 * ways(k) - ways(k - j) - ways(k + j), 0.0))


def equally_often(ring_id: str, inside: Sample, party: IntArray) -> Evidence:
    """The evidence, of the family ``drawn``, that questions are asked by as many as each other.

    ``party`` [rows of ``inside``] says whose each row is: parties ask independently, each counts once a question.
    """
    own, asked = _own(inside, party)
    _, number = np.unique(own, return_inverse=True)
    _, question, times = np.unique(asked, return_inverse=True, return_counts=True)
    log10_p, often = log10_equal(number, question)
    as_often = int((times == often).sum())
    words = f"{len(times):,} questions were asked as unequally often as where nobody knows of the others"
    if log10_p < -1.0:
        words = (
            f"of {len(times):,} questions {as_often:,} were asked by exactly {often}: more than come about where nobody"
            " knows of the others"
        )
    return evidence_of_ring(
        "drawn",
        "samples",
        ring_id,
        _NULL,
        log10_p,
        n=len(times),
        unit="questions",
        effect=as_often / max(len(times), 1),
        distribution="normal, of a log ratio of frequencies, its variance over parties left out in turn",
        because=(words,),
    )


def times_asked(inside: Sample, party: IntArray) -> tuple[HashArray, IntArray]:
    """The questions, sorted, and by how many parties each was asked."""
    asked, times = np.unique(_own(inside, party)[1], return_counts=True)
    return asked, times.astype(np.int64)


def _own(inside: Sample, party: IntArray) -> tuple[IntArray, HashArray]:
    """Each party with each question, of those that are kept of every account that asked them."""
    if not len(inside.account):
        return party[:0], inside.core[:0]
    starts = np.flatnonzero(np.diff(inside.account, prepend=-1))
    ends = np.append(starts[1:], len(inside.account))
    full = ends[ends - starts >= MOST_CORES] - 1
    kept = inside.core <= inside.core[full].min() if len(full) else np.ones(len(inside.core), dtype=bool)
    return pairs_of(party[kept], inside.core[kept])
