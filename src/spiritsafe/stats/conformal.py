"""Conformal p-values: how a score ranks among reference scores. No distribution is assumed, only exchangeability.

Sources: Vovk, Gammerman & Shafer (2005), "Algorithmic learning in a random world"; Bates, Candès, Lei, Romano &
Sesia (2023), "Testing for outliers with conformal p-values", Annals of Statistics 51(1).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spiritsafe.stats.order_statistics import upper_band
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
        Benjamini-Hochberg), and a reference that happens to be low makes all of them small together: for many
        looks at one subject, or products, use ``conditional``. With ``seed``, ties are broken at random, which makes
        them exactly uniform when scores are tied or few.
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

    def conditional(self, delta: float) -> ConditionalReference:
        """The same reference, its p-values adjusted to hold given that very reference; see there."""
        return ConditionalReference(self, delta)


@dataclass(frozen=True, eq=False, slots=True)
class ConditionalReference:
    """A reference whose p-values are valid given the reference, at all levels at once, with chance 1 - ``delta``.

    That is, unless a bad draw of the reference, of chance at most ``delta``, happened: the false alarm rate at every
    level a, over all subjects ever compared with this reference, is at most a, and p-values of independent subjects
    or windows are independent, so e-values made of them multiply.

    The plain p-value i / (n + 1) becomes b_i, where all order statistics of n uniforms keep below b with chance
    1 - ``delta``: the generic adjustment of Bates et al. (2023), section 3. Of the bounds that paper offers, DKW gives
    nothing where it matters (at n = 10,000 and delta = .01 the smallest p-value becomes 150/n), the asymptotic one
    needs a large n, and Monte Carlo needs a simulation. This one is the equal-local-levels band with its chance
    computed exactly (``order_statistics.upper_band``): there the smallest becomes 8/n. Against Simes (k = n/2, 9/n)
    it is higher by up to 13 in 100 from the second rank to about the fiftieth, and from the hundredth on lower by 5
    to 20 in 100; a larger delta moves this in favour of Simes at the first ranks.
    Plain p-values above 1/2 become 1. Scores are taken to be independent and, for exact coverage, not tied; ties
    only make it more conservative.
    """

    reference: Reference
    delta: float
    _by_rank: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # A score below the whole reference has rank n + 1 and p-value 1.
        by_rank = np.append(upper_band(self.reference.scores.size, self.delta), 1.0)
        object.__setattr__(self, "_by_rank", by_rank)

    def p(self, scores: npt.ArrayLike) -> FloatArray:
        """p-values of new scores, each in (0, 1]."""
        return np.asarray(self._by_rank[as_high(self.reference.scores, _row(scores))])

    def method(self) -> Conformal:
        """How ``p`` obtained its p-values."""
        name = f"equal-local-levels(delta={self.delta!r})"
        return Conformal(reference=self.reference.digest, n=self.reference.scores.size, conditional=name)


def leave_one_out(scores: npt.ArrayLike) -> FloatArray:
    """The p-value of each score among the others of its own pool: the share of the pool that is as high.

    Valid for each member that is exchangeable with the rest, on average over pools; where many of the pool are not
    ordinary they hide one another. The smallest possible is 1/n.
    """
    values = _row(scores)
    return np.asarray(as_high(np.sort(values), values) / max(values.size, 1))


def as_high(ordered: FloatArray, values: FloatArray) -> IntArray:
    """How many of the ``ordered`` scores, lowest first, are as high as each value."""
    return np.asarray(ordered.size - np.searchsorted(ordered, values, side="left"), dtype=np.int64)


def _row(scores: npt.ArrayLike) -> FloatArray:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not np.all(np.isfinite(values)):
        raise ValueError("scores is a row of finite numbers")
    return values
