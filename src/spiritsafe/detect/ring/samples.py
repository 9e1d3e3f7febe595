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
MOST_TIMES, FARTHEST = 12, 3
"""The largest frequency looked at, and how far apart frequencies are that are compared."""

GUARD = 1.5
"""By so much the deviation over parties is raised: measured where each asks one stretch of a corpus."""

_WIDTH = MOST_TIMES + 3
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
    variance is that over parties, each left out in turn (jackknife, with a guard), or that of independent questions,
    4 / F(k) + 1 / F(k - j) + 1 / F(k + j), if that is larger; a half is added to each count. Every k up to
    ``MOST_TIMES`` and j up to ``FARTHEST`` was looked at (Bonferroni). Questions that are taken for the same change
    nothing else.
    """
    times = np.bincount(question)
    if len(times) < LEAST_QUESTIONS:
        return 0.0, 0
    sizes = np.bincount(party)
    n = len(party) / int(sizes.max())
    capped = np.minimum(times, _WIDTH - 1)
    f = np.bincount(capped, minlength=_WIDTH).astype(np.float64)
    # Without a party, each of its questions is asked once less.
    own = np.bincount(party * _WIDTH + capped[question], minlength=len(sizes) * _WIDTH).reshape(-1, _WIDTH)
    without = f - own
    without[:, :-1] += own[:, 1:]
    j, k = np.array([(j, k) for j in range(1, FARTHEST + 1) for k in range(j + 1, MOST_TIMES + 1 - j)]).T
    quotient = _quotient(f, k, j)
    spread = _quotient(without, k, j)
    jackknife = (len(sizes) - 1.0) / len(sizes) * ((spread - spread.mean(axis=0)) ** 2).sum(axis=0)
    counted = 4.0 / (f[k] + 0.5) + 1.0 / (f[k - j] + 0.5) + 1.0 / (f[k + j] + 0.5)
    told = (k + j <= n) & (f[k] >= LEAST_QUESTIONS / 4)
    if not told.any():
        return 0.0, 0
    z = (quotient - _bound(n, k, j)) / np.sqrt(np.maximum(GUARD**2 * jackknife, counted))
    best = int(np.where(told, z, -np.inf).argmax())
    log10_p = float(stats.norm.logsf(z[best])) / math.log(10.0) + math.log10(len(k))
    return max(min(log10_p, 0.0), -300.0), int(k[best])


def _quotient(f: FloatArray, k: IntArray, j: IntArray) -> FloatArray:
    """ln F(k)^2 / (F(k - j) F(k + j)) for frequencies in the last axis."""
    log = np.log(f + 0.5)
    return np.asarray(2.0 * log[..., k] - log[..., k - j] - log[..., k + j])


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
