"""Whose answers was the student fed? Its text is read position by position and held against tenants' code words.

Given the biases and what the student wrote, an innocent tenant's bits are still independent coins: it had no part in
either. So the tenant's score is a sum of independent terms with known distributions, and Chernoff's bound on it is a
valid p-value, whatever the guilty did, how many they were and how the student mixed them. Holm's rule over all tenants
then keeps the chance of naming even one innocent below ``ALPHA``. Soft reading of positions: Meerwald & Furon (2012),
"Toward practical joint decoding of binary Tardos fingerprinting codes".
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import msgspec
import numpy as np
from scipy import optimize

from spiritsafe.protect import prf
from spiritsafe.protect.keys import MarkKey
from spiritsafe.protect.marks.detect import DECOYS, check_enough, enough
from spiritsafe.protect.marks.traced import Traced
from spiritsafe.protect.tracing import Code
from spiritsafe.prove.radioactivity import EFFECT, Weighed
from spiritsafe.stats import Exact, Result, calibrate_mixture, holm, p_from_draws, p_from_log10
from spiritsafe.stats.logs import LN10
from spiritsafe.stats.types import BoolArray, FloatArray

VERSION = 1
ALPHA = 1e-3


class Traces(msgspec.Struct, frozen=True):
    """``results``: one for each tenant, in the order given. ``decoys``: their ranks among code words of nobody.

    ``named`` are those whom Holm's rule over all results names at ``alpha``.
    """

    results: tuple[Result, ...]
    decoys: tuple[float, ...]
    named: tuple[str, ...]
    alpha: float


def trace(
    mark: Traced,
    key: MarkKey,
    read: Weighed,
    tenants: Sequence[str],
    *,
    subject: str,
    alpha: float = ALPHA,
    need: int | None = None,
    decoys: int = DECOYS,
    seed: int = 0,
) -> Traces:
    """Hold what was read of the suspect against every tenant's code word.

    ``tenants`` are all that had the mark, not only those one would like to test. Raises ``TooFewTokens`` where there
    is too little distinct text.
    """
    began = time.perf_counter()
    code = Code(mark, key)
    check_enough(read.own, need if need is not None else enough(EFFECT), mark, subject)
    lanes = prf.lanes(key.sip, read.rows, mark.bits)
    sides = mark.side(lanes) * read.weights
    leaning = np.bincount(mark.position(lanes), weights=sides, minlength=mark.m).astype(np.float64)
    null = Scores(leaning, code.biases)
    scores = [null.of(code.word(tenant)) for tenant in tenants]
    drawn = null.draw(decoys, seed)
    because = (f"{read.own} distinct n-grams out of {read.met}, {mark.m} positions, {len(tenants)} tenants",)
    seconds = (time.perf_counter() - began) / max(len(tenants), 1)
    results = tuple(
        _result(tenant, score, null, key, subject, read.own, because, seconds)
        for tenant, score in zip(tenants, scores, strict=True)
    )
    named = holm([result.p_value for result in results], alpha).rejected if results else np.zeros(0, dtype=np.bool_)
    return Traces(
        results,
        tuple(p_from_draws(score, drawn) for score in scores),
        tuple(tenant for tenant, guilty in zip(tenants, named, strict=True) if guilty),
        alpha,
    )


class Scores:
    """Scores of code words against a student's ``leaning`` at each position, and their null.

    The part of the leaning that follows the biases is taken out first: it says what tenants have in common.
    """

    def __init__(self, leaning: FloatArray, biases: FloatArray) -> None:
        common = 2.0 * biases - 1.0
        self._weights = leaning - common * float(leaning @ common) / float(common @ common)
        self._biases = biases
        self._sd = math.sqrt(float(np.square(self._weights) @ (biases * (1.0 - biases))))

    def of(self, word: BoolArray) -> float:
        """A code word's score in standard deviations of the null; 0 if nothing was written."""
        return float(self._weights @ (word - self._biases)) / self._sd if self._sd > 0.0 else 0.0

    def draw(self, count: int, seed: int) -> FloatArray:
        """Scores of ``count`` code words that belong to nobody."""
        rng = np.random.default_rng(seed)
        words = rng.random((count, self._biases.size)) < self._biases
        return np.asarray((words - self._biases) @ self._weights) / (self._sd or 1.0)

    def log10_tail(self, score: float) -> float:
        """log10 of Chernoff's bound on the chance that an innocent scores as high."""
        if score <= 0.0:
            return 0.0
        steps, p = self._weights / self._sd, self._biases

        def exponent(tilt: float) -> float:
            terms = np.logaddexp(np.log(p) + tilt * steps * (1.0 - p), np.log1p(-p) - tilt * steps * p)
            return float(terms.sum()) - tilt * score

        found = optimize.minimize_scalar(exponent, bounds=(0.0, 4.0 * score + 1.0), method="bounded")
        return min(0.0, float(found.fun) / LN10)


def _result(
    tenant: str,
    score: float,
    null: Scores,
    key: MarkKey,
    subject: str,
    n: int,
    because: tuple[str, ...],
    seconds: float,
) -> Result:
    log10_p = null.log10_tail(score)
    return Result(
        name=f"tracing {key.mark_id} {tenant}",
        version=VERSION,
        subject=subject,
        null="The suspect was not fed this tenant's answers: what it writes is independent of the tenant's code word.",
        statistic=score,
        p_value=p_from_log10(log10_p),
        log10_e=calibrate_mixture(log10_p),
        n=n,
        unit="distinct n-grams of tokens",
        effect=score / math.sqrt(max(n, 1)),
        method=Exact("Chernoff bound on a sum over the code's independent bits"),
        because=(*because, f"{score:.2f} standard deviations above an innocent's score"),
        seconds=seconds,
    )
