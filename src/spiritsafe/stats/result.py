"""The one form in which every detector and every forensic test reports."""

from __future__ import annotations

import math
from datetime import datetime

import msgspec

from spiritsafe.stats.logs import LOG10_ZERO

JOINTLY = "jointly"
"""In the place of a family: evidence against "at most one family of this subject is unlike ordinary ones", combined by
the detectors themselves before it was ranked, and so stronger than what is left of single e-values when they are
averaged.
"""


class Exact(msgspec.Struct, frozen=True, tag="exact"):
    """The p-value comes from the null distribution itself, named here (``binomial``, ``signed rank``)."""

    distribution: str


class MonteCarlo(msgspec.Struct, frozen=True, tag="monte-carlo"):
    """The p-value is (count + 1) / (n + 1) over ``n`` draws from the null with ``seed``.

    Where ``stop`` is given, drawing ended at the ``stop``-th draw as extreme as what was observed, and the
    p-value is ``stop`` / ``n`` if that happened. Sources: Phipson & Smyth (2010), "Permutation p-values should
    never be zero"; Besag & Clifford (1991), "Sequential Monte Carlo p-values".
    """

    n: int
    seed: int
    stop: int | None = None


class Conformal(msgspec.Struct, frozen=True, tag="conformal"):
    """The p-value is a rank among ``n`` reference scores.

    ``conditional`` names the calibration-conditional adjustment if one was made, with every parameter it
    depends on (Bates et al. 2023, section 3). ``seed`` is there if ties were broken at random.
    """

    reference: str
    n: int
    conditional: str | None = None
    seed: int | None = None


Method = Exact | MonteCarlo | Conformal


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one test found about one subject. Higher ``statistic`` and ``log10_e`` speak against the null.

    ``null`` is a sentence. ``p_value`` lies in (0, 1]: it is never 0. ``log10_e`` is the base-10
    logarithm of an e-value (expectation at most 1 under the null); ``-inf``, a bet that lost all, is
    kept as ``LOG10_ZERO``. ``n`` counts what the statistic was computed from, in ``unit``. ``effect`` is
    a size a person can read (a share, a difference), with ``interval`` where one is known. ``because``
    are facts that a person can check. ``seconds`` is what it took. Every number is finite, since
    JSON would turn an infinity into null and the record could not be read back.
    """

    name: str
    version: int
    subject: str
    null: str
    statistic: float
    p_value: float
    log10_e: float
    n: int
    unit: str
    effect: float
    method: Method
    interval: tuple[float, float] | None = None
    because: tuple[str, ...] = ()
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.log10_e == -math.inf:
            msgspec.structs.force_setattr(self, "log10_e", LOG10_ZERO)
        if not 0.0 < self.p_value <= 1.0:
            raise ValueError(f"{self.name}: a p-value lies in (0, 1], got {self.p_value!r}")
        numbers = (self.statistic, self.log10_e, self.effect, self.seconds, *(self.interval or ()))
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(
                f"{self.name}: statistic, log10_e, effect, interval and seconds are finite numbers, got {numbers}"
            )
        if self.n < 0:
            raise ValueError(f"{self.name}: n counts observations, got {self.n}")


class Telling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One exchange that evidence rests on. ``share``, in (0, 1], is its part of what all exchanges that were looked at
    weigh: of how far the evidence falls when it is left out, or what a ring's test sees in it.

    ``row`` is its place in the sealed record: what was said can be read there for as long as it is kept. ``text`` is
    an excerpt, for a report that is read at once; what is stored holds none, or pruning the record would not remove it.
    """

    account_id: str
    share: float
    exchange_id: str | None = None
    time: datetime | None = None
    row: int | None = None
    text: str | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ``Result`` with the family it belongs to. Two families are needed before anyone is sanctioned.

    ``weight``, fixed before anything was seen, is its part in the mean over the family. ``telling`` are the exchanges
    that weigh most, the weightiest first, once they were looked for.
    """

    family: str
    result: Result
    weight: float = 1.0
    telling: tuple[Telling, ...] = ()
