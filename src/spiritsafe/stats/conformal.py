"""Conformal p-values: how a score ranks among reference scores. No distribution is assumed, only exchangeability.

Source: Vovk, Gammerman & Shafer (2005), "Algorithmic learning in a random world".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spiritsafe.stats.result import Conformal
from spiritsafe.stats.types import FloatArray, IntArray


@dataclass(frozen=True, eq=False, slots=True)
class Reference:
    """Scores of subjects known to be ordinary, sorted; higher is more suspicious. ``digest`` names these very scores.

    Make it with ``Reference.of``.
    """

    scores: FloatArray
    digest: str

    @classmethod
    def of(cls, scores: npt.ArrayLike) -> Reference:
        """The reference of these finite scores, at least one, in any order."""
        # Adding 0.0 makes -0.0 the same score, and so the same digest, as 0.0.
        ordered = np.sort(_row(scores)) + 0.0
        if ordered.size == 0:
            raise ValueError("a reference holds at least one score")
        ordered.flags.writeable = False
        return cls(
            ordered, "blake2b-128:" + hashlib.blake2b(ordered.astype("<f8").tobytes(), digest_size=16).hexdigest()
        )

    def p(self, scores: npt.ArrayLike, seed: int | None = None) -> FloatArray:
        """p-values of new scores, each in (0, 1]: (1 + how many reference scores are as high) / (n + 1).

        Each is valid alone, on average over references. p-values from one reference are dependent (PRDS: fit for
        Benjamini-Hochberg), and a reference that happens to be low makes all of them small together: products need
        more. With ``seed``, ties are broken at random, which makes them exactly uniform when scores are tied or few.
        """
        values = _row(scores)
        n = self.scores.size
        high = as_high(self.scores, values)
        if seed is None:
            return np.asarray((1.0 + high) / (n + 1.0))
        above = n - np.searchsorted(self.scores, values, side="right")
        # Never 0, since random() never reaches 1.
        share = 1.0 - np.random.default_rng(seed).random(values.size)
        return np.asarray((above + share * (1.0 + (high - above))) / (n + 1.0))

    def method(self, seed: int | None = None) -> Conformal:
        """How ``p`` obtained its p-values."""
        return Conformal(reference=self.digest, n=self.scores.size, seed=seed)


def as_high(ordered: FloatArray, values: FloatArray) -> IntArray:
    """How many of the ``ordered`` scores, lowest first, are as high as each value."""
    return np.asarray(ordered.size - np.searchsorted(ordered, values, side="left"), dtype=np.int64)


def _row(scores: npt.ArrayLike) -> FloatArray:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not np.all(np.isfinite(values)):
        raise ValueError("scores is a row of finite numbers")
    return values
