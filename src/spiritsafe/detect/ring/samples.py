"""How it is drawn: every question asked equally often, as whoever draws several answers to each question does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from spiritsafe.detect.cores import MOST_CORES, pairs_of
from spiritsafe.detect.wealth import evidence_of_ring
from spiritsafe.stats.result import Evidence

if TYPE_CHECKING:
    from spiritsafe.detect.cores import Sample
    from spiritsafe.detect.types import FloatArray, HashArray, IntArray

LEAST_QUESTIONS = 200
MOST_TIMES = 8
_NULL = "whoever asks a question doesn't know how often others asked it before"


def log10_equal(times: FloatArray, parties: float) -> tuple[float, int]:
    """log10 of a bound on the chance that questions are asked so equally often, and how often that is.

    ``times`` [questions] says by how many each was asked, ``parties`` how many could at most have asked it. If they
    ask independently, the times are mixtures of binomials of at most that many, whatever is popular. With F(k)
    questions asked k times, F(k)^2 k / (k + 1) is then at most F(k - 1) F(k + 1) (n - k + 1) / (n - k): for a mixture
    of Poissons by the Cauchy-Schwarz inequality (k! F(k) are moments), the last factor for the binomials themselves.
    The logarithm of the quotient has variance 4 / F(k) + 1 / F(k - 1) + 1 / F(k + 1) or less, a half added to each, and
    is read as normal; every k up to ``MOST_TIMES`` was looked at (Bonferroni). Only neighbours are compared: questions
    that are taken for the same change nothing else.
    """
    if len(times) < LEAST_QUESTIONS:
        return 0.0, 0
    f = (
        np.bincount(np.minimum(times, MOST_TIMES + 2).astype(np.int64), minlength=MOST_TIMES + 3)[: MOST_TIMES + 2]
        + 0.5
    )
    k = np.arange(2, MOST_TIMES + 1, dtype=np.float64)
    below, here, above = f[1:-2], f[2:-1], f[3:]
    left = np.maximum(parties - k, 1e-9)
    quotient = np.log(here**2 / (below * above) * k / (k + 1.0)) - np.log1p(1.0 / left)
    z = quotient / np.sqrt(4.0 / here + 1.0 / below + 1.0 / above)
    z = np.where(here >= LEAST_QUESTIONS / 4, z, -np.inf)
    best = int(z.argmax())
    log10_p = float(stats.norm.logsf(z[best])) / math.log(10.0) + math.log10(len(k))
    return max(min(log10_p, 0.0), -300.0), best + 2


def equally_often(ring_id: str, inside: Sample, party: IntArray) -> Evidence:
    """The evidence, of the family ``drawn``, that questions are asked by as many as each other.

    ``party`` [rows of ``inside``] says whose each row is: parties ask independently, each counts once a question.
    """
    own, asked = _own(inside, party)
    times = np.unique(asked, return_counts=True)[1].astype(np.float64)
    parties = len(own) / max(int(np.bincount(own).max()), 1) if len(own) else 0.0
    log10_p, often = log10_equal(times, parties)
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
        distribution="normal, of a log ratio of neighbouring frequencies",
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
