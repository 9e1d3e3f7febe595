"""Sums of scores with weights: an exact null for any weights that do not depend on the key.

The scores of distinct n-grams are independent under the null, so the sum of w times score has an exactly known moment
generating function, whatever the weights; Chernoff's bound on its tail is a valid p-value. It is the exact tail times
a factor of some z sqrt(2 pi), z being the standard deviations above the mean: a price paid in the last digits.
Choosing weights well is what gives such a test its power: ``counted`` and ``controlled``.
"""

from __future__ import annotations

import math
import time

import numpy as np
from scipy import optimize

from spiritsafe.protect import prf
from spiritsafe.protect.keys import MarkKey
from spiritsafe.protect.marks.detect import Detection, Found, described, keys_drawn
from spiritsafe.protect.marks.types import Mark
from spiritsafe.protect.prf import Words
from spiritsafe.stats import p_from_draws
from spiritsafe.stats.logs import LN10
from spiritsafe.stats.types import FloatArray


def counted(counts: FloatArray) -> FloatArray:
    """Weights ln(1 + count): an n-gram that comes often tells more than one that came once, but not in proportion."""
    return np.log1p(counts)


def controlled(counts: FloatArray, expected: FloatArray, floor: float) -> FloatArray:
    """Weights (count - expected) / sqrt(expected + floor): how much more often than in a control, in its own noise.

    A language has its own likes and dislikes, far larger than what a mark leaves in a student; a control that never
    saw the key takes most of them out. A bad control costs power and nothing else: the null needs no model of text.
    """
    return (counts - expected) / np.sqrt(expected + floor)


def log10_tail(mark: Mark, total: float, weights: FloatArray) -> float:
    """log10 of Chernoff's bound on P(sum of weights times scores >= total), over the random key. Raises ValueError for
    weights that are no numbers.
    """
    if not np.isfinite(weights).all():
        raise ValueError("weights must be finite numbers")
    if total <= mark.mean * float(weights.sum()):
        return 0.0
    scale = mark.sd * math.sqrt(float(np.square(weights).sum()))

    def exponent(tilt: float) -> float:
        with np.errstate(over="ignore"):
            return float(mark.cumulant(weights * (tilt / scale)).sum()) - tilt / scale * total

    # Every tilt gives a valid bound; the best one is about z, where the exponent is least.
    height = (total - mark.mean * float(weights.sum())) / scale
    highest = 4.0 * height + 1.0
    while not math.isfinite(exponent(highest)):
        highest *= 0.7
    found = optimize.minimize_scalar(exponent, bounds=(0.0, highest), method="bounded")
    return min(0.0, float(found.fun) / LN10)


def judge_weighted(
    mark: Mark,
    key: MarkKey,
    rows: Words,
    weights: FloatArray,
    *,
    found: Found,
    decoys: int,
    seed: int,
) -> Detection:
    """Both results for distinct ``rows`` with ``weights``."""
    began = time.perf_counter()
    kept = weights != 0.0
    rows, weights = rows[kept], weights[kept]
    total = float(mark.score(prf.lanes(key.sip, rows, mark.bits)) @ weights)
    drawn = np.concatenate(
        [mark.score(prf.lanes_under_keys(keys, rows, mark.bits)) @ weights for keys in keys_drawn(decoys, seed, rows)]
        or [np.empty(0)]
    )
    mean, sd = mark.mean * float(weights.sum()), mark.sd * math.sqrt(float(np.square(weights).sum()))
    height = (total - mean) / sd if sd > 0.0 else 0.0
    return described(
        mark,
        key,
        found,
        height=height,
        log10_p=log10_tail(mark, total, weights) if sd > 0.0 else 0.0,
        p_decoys=p_from_draws(total, drawn),
        heights=(drawn - mean) / sd if sd > 0.0 else drawn,
        distribution=f"Chernoff bound on a weighted sum, each term {mark.distribution}",
        seed=seed,
        seconds=time.perf_counter() - began,
    )
