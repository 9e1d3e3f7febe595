"""Fair coins against a lean: exact tests for numbers whose signs, and only their signs, are random under the null.

The null: given their sizes, the signs are independent fair coins. That is all; the sizes may come from anything,
depend on one another and have any distribution. It is the null of a randomised experiment in pairs (Fisher 1935,
"The Design of Experiments", section 21).
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import optimize

from spiritsafe.stats.logs import LN10, log10_sum
from spiritsafe.stats.montecarlo import p_from_draws
from spiritsafe.stats.result import Exact
from spiritsafe.stats.types import FloatArray, IntArray

FLIPS = 9_999
"""Random sign flips beside the exact p-value, for whoever trusts nothing else."""

WORK = 4e8
"""Additions that the exact distribution may take: a second or so. Numbers are put on a coarser grid before it is
given up for a bound."""

FINEST, COARSEST = 1024, 16

BETS = 21
BOLDEST = 2.0


class SignFlip(msgspec.Struct, frozen=True, kw_only=True):
    """``statistic`` is the sum over its standard deviation under the null, ``effect`` the sum over the sum of sizes: 1
    if all lean one way. ``flips_p`` is the p-value by ``FLIPS`` random sign flips. ``n`` counts values that are not 0.
    """

    statistic: float
    log10_p: float
    flips_p: float
    effect: float
    n: int
    method: Exact


def sign_flip(values: npt.ArrayLike, seed: int = 0, flips: int = FLIPS) -> SignFlip:
    """Test, one-sided, whether the values lean to the positive side.

    Sizes are rounded to a grid of 16 to 1024 steps (by their number alone), and the distribution of the rounded sum
    is computed outright. Past 30,000 values or where p would be under 1e-290 the p-value is Chernoff's bound,
    inf over t of exp(-t sum) prod cosh(t size): too large by a small factor, never too small.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or not np.all(np.isfinite(given)):
        raise ValueError("values is a row of finite numbers")
    given = given[given != 0.0]
    if not given.size:
        return SignFlip(statistic=0.0, log10_p=0.0, flips_p=1.0, effect=0.0, n=0, method=Exact("sign flips"))
    sizes = np.abs(given)
    total, spread = float(given.sum()), math.sqrt(float(np.sum(sizes**2)))
    found = _exact(given)
    log10_p, method = (found, Exact("sign flips")) if found is not None else (_bound(given), Exact("Chernoff bound"))
    return SignFlip(
        statistic=total / spread,
        log10_p=log10_p,
        flips_p=_by_flips(given, flips, seed),
        effect=total / float(sizes.sum()),
        n=int(given.size),
        method=method,
    )


class CoinBet(msgspec.Struct, frozen=True):
    """A bettor who stakes on each sign before seeing it, more on a larger size: evidence that may be looked at, and
    stopped at, any time.

    Bettor k takes the chance of a positive sign to be 1 / (1 + exp(-2 b_k size)) and is paid at fair odds, so each
    wealth is a martingale under the null, exactly; the wealth is the average over ``BETS`` bettors with b from 2
    down by factors of the square root of 2. That chance is the posterior one when the numbers are normal with
    a shift, so sizes should be in units of their own deviation. ``log10_max`` is the highest the wealth has been.
    """

    logs: tuple[float, ...] = (0.0,) * BETS
    log10_max: float = 0.0
    n: int = 0

    @property
    def log10(self) -> float:
        """The wealth now: an e-value, whenever one chooses to stop."""
        return float(log10_sum(np.asarray(self.logs))) - math.log10(BETS)

    @property
    def log10_p(self) -> float:
        """min(1, 1 / highest wealth): a p-value at any stopping time (Ville's inequality)."""
        return min(0.0, -self.log10_max)

    def observe(self, values: npt.ArrayLike) -> CoinBet:
        """The bet after these numbers, in the order of time."""
        given = np.atleast_1d(np.asarray(values, dtype=np.float64))
        if given.ndim != 1 or not np.all(np.isfinite(given)):
            raise ValueError("values is a row of finite numbers")
        if not given.size:
            return self
        boldness = BOLDEST * 2.0 ** (-np.arange(BETS) / 2.0)
        gains = (math.log(2.0) - np.logaddexp(0.0, -2.0 * np.outer(given, boldness))) / LN10
        paths = np.asarray(self.logs) + np.cumsum(gains, axis=0)
        wealths = log10_sum(paths, axis=1) - math.log10(BETS)
        return CoinBet(tuple(paths[-1].tolist()), max(self.log10_max, float(wealths.max())), self.n + given.size)


def _exact(values: FloatArray) -> float | None:
    """log10 P(sum of rounded sizes with fair signs >= what it is), None where that takes too long or underflows."""
    steps = FINEST
    while True:
        whole = np.rint(values / np.abs(values).max() * steps).astype(np.int64)
        work = values.size * float(np.abs(whole).sum()) / 2.0
        if work <= WORK or steps == COARSEST:
            break
        steps //= 2
    if work > 16.0 * WORK:
        return None
    return _tail(np.abs(whole), int(whole[whole > 0].sum()))


def _tail(sizes: IntArray, positive: int) -> float | None:
    """log10 P(sum of the sizes whose coin fell up >= positive); only positive numbers are added."""
    sizes = np.sort(sizes[sizes > 0])
    masses = np.ones(1)
    for size in sizes:
        grown = np.zeros(masses.size + int(size))
        grown[: masses.size] = masses
        grown[size:] += masses
        masses = grown / 2.0
    above = float(masses[positive:].sum())
    if above < 1e-290:
        return None
    below = float(masses[:positive].sum())
    return min(0.0, math.log10(above) if above < 0.5 else math.log1p(-below) / LN10)


def _bound(values: FloatArray) -> float:
    """Chernoff's bound on log10 P(sum with fair signs >= what it is)."""
    sizes, total = np.abs(values), float(values.sum())
    if total <= 0.0:
        return 0.0
    scale = float(sizes.max())

    def exponent(t: float) -> float:
        x = t * sizes / scale
        return float(np.sum(np.logaddexp(x, -x) - math.log(2.0))) - t * total / scale

    best = optimize.minimize_scalar(exponent, bounds=(0.0, 700.0), method="bounded")
    return min(0.0, float(best.fun) / LN10)


def _by_flips(values: FloatArray, flips: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    sizes, draws = np.abs(values), []
    rows = max(1, (1 << 22) // values.size)
    for start in range(0, flips, rows):
        signs = rng.integers(0, 2, size=(min(rows, flips - start), values.size), dtype=np.int8)
        draws.append((2.0 * signs - 1.0) @ sizes)
    return p_from_draws(float(values.sum()), np.concatenate(draws))
