"""Exact tail probabilities as base-10 logarithms, right at 1e-300 and far below, where a float underflows.

Each function returns log10 of P(X >= k) (``_upper``) or P(X <= k) (``_lower``): the p-value of a one-sided test,
finite and at most 0, never the logarithm of 0. An outcome that is impossible under the null is an error, not a
p-value. The first argument is a number (then so is the answer) or an array, against which the others broadcast.

Where the tail or its complement fits a float, scipy's incomplete Beta and Gamma functions give it; below that, the
first term in log space (``pmf``) times a convergent series or continued fraction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import overload

import numpy as np
import numpy.typing as npt
from scipy import special

from spiritsafe.stats import pmf
from spiritsafe.stats.logs import LN10
from spiritsafe.stats.types import FloatArray, IntArray

Numbers = float | IntArray | FloatArray

_SMALLEST = 1e-280
_CONVERGED = 1e-16
_MOST_STEPS = 100_000


@overload
def binomial_upper(k: float, n: Numbers, p: Numbers) -> float: ...
@overload
def binomial_upper(k: IntArray | FloatArray, n: Numbers, p: Numbers) -> FloatArray: ...
def binomial_upper(k: Numbers, n: Numbers, p: Numbers) -> float | FloatArray:
    """log10 P(X >= k) for X binomial: ``k`` successes in ``n`` trials of chance ``p``, 0 < p < 1."""
    ks, ns, ps = _binomial(k, n, p)
    inside = np.maximum(ks, 1.0)
    tail = np.where(ks > 0, special.betainc(inside, ns - inside + 1.0, ps), 1.0)
    rest = np.where(ks > 0, special.betaincc(inside, ns - inside + 1.0, ps), 0.0)
    return _log10(tail, rest, _binomial_upper, ks, ns, ps)


@overload
def binomial_lower(k: float, n: Numbers, p: Numbers) -> float: ...
@overload
def binomial_lower(k: IntArray | FloatArray, n: Numbers, p: Numbers) -> FloatArray: ...
def binomial_lower(k: Numbers, n: Numbers, p: Numbers) -> float | FloatArray:
    """log10 P(X <= k) for X binomial: ``k`` successes in ``n`` trials of chance ``p``, 0 < p < 1."""
    ks, ns, ps = _binomial(k, n, p)
    inside = np.minimum(ks, ns - 1.0)
    tail = np.where(ks < ns, special.betaincc(inside + 1.0, ns - inside, ps), 1.0)
    rest = np.where(ks < ns, special.betainc(inside + 1.0, ns - inside, ps), 0.0)
    return _log10(tail, rest, _binomial_lower, ks, ns, ps)


@overload
def binomial_two_sided(k: float, n: Numbers, p: Numbers) -> float: ...
@overload
def binomial_two_sided(k: IntArray | FloatArray, n: Numbers, p: Numbers) -> FloatArray: ...
def binomial_two_sided(k: Numbers, n: Numbers, p: Numbers) -> float | FloatArray:
    """log10 of twice the smaller tail, at most 1: rejects exactly where the Clopper-Pearson interval leaves out p."""
    smaller = np.minimum(binomial_upper(np.asarray(k), n, p), binomial_lower(np.asarray(k), n, p))
    return _scalar(np.minimum(0.0, smaller + math.log10(2.0)))


@overload
def poisson_upper(k: float, mean: Numbers) -> float: ...
@overload
def poisson_upper(k: IntArray | FloatArray, mean: Numbers) -> FloatArray: ...
def poisson_upper(k: Numbers, mean: Numbers) -> float | FloatArray:
    """log10 P(X >= k) for X Poisson with a ``mean`` above 0."""
    ks, means = _whole(k, mean)
    # P(X >= k) is the chance that the k-th arrival comes before time ``mean``; the 0-th always has.
    waits = _gamma_lower_log10(np.maximum(ks, 1.0), means)
    return _scalar(np.where(ks > 0, waits, 0.0))


@overload
def poisson_lower(k: float, mean: Numbers) -> float: ...
@overload
def poisson_lower(k: IntArray | FloatArray, mean: Numbers) -> FloatArray: ...
def poisson_lower(k: Numbers, mean: Numbers) -> float | FloatArray:
    """log10 P(X <= k) for X Poisson with a ``mean`` above 0."""
    ks, means = _whole(k, mean)
    return _scalar(_gamma_upper_log10(ks + 1.0, means))


@overload
def gamma_upper(x: float, shape: Numbers) -> float: ...
@overload
def gamma_upper(x: IntArray | FloatArray, shape: Numbers) -> FloatArray: ...
def gamma_upper(x: Numbers, shape: Numbers) -> float | FloatArray:
    """log10 P(X >= x) for X Gamma with ``shape`` and scale 1: a sum of ``shape`` unit exponentials."""
    xs, shapes = _positive(x, shape)
    return _scalar(_gamma_upper_log10(shapes, xs))


@overload
def gamma_lower(x: float, shape: Numbers) -> float: ...
@overload
def gamma_lower(x: IntArray | FloatArray, shape: Numbers) -> FloatArray: ...
def gamma_lower(x: Numbers, shape: Numbers) -> float | FloatArray:
    """log10 P(X <= x) for X Gamma with ``shape`` and scale 1: a sum of ``shape`` unit exponentials."""
    xs, shapes = _positive(x, shape)
    return _scalar(_gamma_lower_log10(shapes, xs))


@overload
def hypergeometric_upper(k: float, population: Numbers, marked: Numbers, drawn: Numbers) -> float: ...
@overload
def hypergeometric_upper(
    k: IntArray | FloatArray, population: Numbers, marked: Numbers, drawn: Numbers
) -> FloatArray: ...
def hypergeometric_upper(k: Numbers, population: Numbers, marked: Numbers, drawn: Numbers) -> float | FloatArray:
    """log10 P(X >= k), X the number marked among ``drawn`` taken without replacement from ``population``.

    One-sided Fisher's exact test: is the overlap of two sets of sizes ``marked`` and ``drawn`` larger than chance?
    """
    return _hypergeometric(k, population, marked, drawn, upper=True)


@overload
def hypergeometric_lower(k: float, population: Numbers, marked: Numbers, drawn: Numbers) -> float: ...
@overload
def hypergeometric_lower(
    k: IntArray | FloatArray, population: Numbers, marked: Numbers, drawn: Numbers
) -> FloatArray: ...
def hypergeometric_lower(k: Numbers, population: Numbers, marked: Numbers, drawn: Numbers) -> float | FloatArray:
    """log10 P(X <= k), X the number marked among ``drawn`` taken without replacement from ``population``."""
    return _hypergeometric(k, population, marked, drawn, upper=False)


def _binomial_upper(k: float, n: float, p: float) -> float:
    odds = p / (1.0 - p)
    return pmf.binomial_pmf(k, n, p) + pmf.ln_ratio_sum(lambda i: (n - k - i) / (k + 1.0 + i) * odds, n - k)


def _binomial_lower(k: float, n: float, p: float) -> float:
    odds = (1.0 - p) / p
    return pmf.binomial_pmf(k, n, p) + pmf.ln_ratio_sum(lambda i: (k - i) / (n - k + 1.0 + i) * odds, k)


def _gamma_lower(shape: float, x: float) -> float:
    return pmf.poisson_pmf(shape, x) + pmf.ln_ratio_sum(lambda i: x / (shape + 1.0 + i))


def _gamma_upper(shape: float, x: float) -> float:
    """The continued fraction of Legendre by Lentz's method; needs x > shape + 1, as every underflowing tail has."""
    b = x + 1.0 - shape
    c, d = math.inf, 1.0 / b
    fraction = d
    for i in range(1, _MOST_STEPS):
        a = -i * (i - shape)
        b += 2.0
        d = 1.0 / (a * d + b)
        c = b + a / c
        fraction *= c * d
        if abs(c * d - 1.0) < _CONVERGED:
            break
    return pmf.poisson_pmf(shape, x) + math.log(shape) + math.log(fraction)


def _gamma_upper_log10(shapes: FloatArray, xs: FloatArray) -> FloatArray:
    tail, rest = special.gammaincc(shapes, xs), special.gammainc(shapes, xs)
    return np.asarray(_log10(tail, rest, _gamma_upper, shapes, xs))


def _gamma_lower_log10(shapes: FloatArray, xs: FloatArray) -> FloatArray:
    tail, rest = special.gammainc(shapes, xs), special.gammaincc(shapes, xs)
    return np.asarray(_log10(tail, rest, _gamma_lower, shapes, xs))


def _hypergeometric(
    k: Numbers, population: Numbers, marked: Numbers, drawn: Numbers, *, upper: bool
) -> float | FloatArray:
    arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (k, population, marked, drawn)))
    ks, totals, marks, draws = arrays
    _check(
        all(np.array_equal(values, np.floor(values)) for values in arrays)
        and bool(np.all((marks >= 0) & (marks <= totals) & (draws >= 0) & (draws <= totals)))
        and bool(np.all((ks >= np.maximum(0, draws + marks - totals)) & (ks <= np.minimum(marks, draws)))),
        "k is a count that can occur when `drawn` of `population` are taken and `marked` of them are marked",
    )
    tail = _hypergeometric_upper if upper else _hypergeometric_lower
    flat = [
        tail(int(a), int(b), int(c), int(d)) / LN10
        for a, b, c, d in zip(ks.flat, totals.flat, marks.flat, draws.flat, strict=True)
    ]
    return _scalar(np.asarray(flat, dtype=np.float64).reshape(ks.shape))


def _hypergeometric_upper(k: int, population: int, marked: int, drawn: int) -> float:
    if k <= max(0, drawn + marked - population):
        return 0.0
    if k * population <= drawn * marked:
        return math.log1p(-math.exp(_hypergeometric_falling(k - 1, population, marked, drawn)))
    return _hypergeometric_rising(k, population, marked, drawn)


def _hypergeometric_lower(k: int, population: int, marked: int, drawn: int) -> float:
    if k >= min(marked, drawn):
        return 0.0
    if k * population > drawn * marked:
        return math.log1p(-math.exp(_hypergeometric_rising(k + 1, population, marked, drawn)))
    return _hypergeometric_falling(k, population, marked, drawn)


def _hypergeometric_rising(k: int, population: int, marked: int, drawn: int) -> float:
    """ln P(X >= k), summed from k upwards: accurate where k is above the mean."""
    other = population - marked - drawn

    def ratio(i: FloatArray) -> FloatArray:
        j = k + i
        return (marked - j) / (j + 1.0) * ((drawn - j) / (other + j + 1.0))

    first = pmf.hypergeometric_pmf(k, population, marked, drawn)
    return first + pmf.ln_ratio_sum(ratio, min(marked, drawn) - k)


def _hypergeometric_falling(k: int, population: int, marked: int, drawn: int) -> float:
    """ln P(X <= k), summed from k downwards: accurate where k is below the mean."""
    other = population - marked - drawn

    def ratio(i: FloatArray) -> FloatArray:
        j = k - i
        return j / (marked - j + 1.0) * ((other + j) / (drawn - j + 1.0))

    first = pmf.hypergeometric_pmf(k, population, marked, drawn)
    return first + pmf.ln_ratio_sum(ratio, k - max(0, -other))


def _binomial(k: Numbers, n: Numbers, p: Numbers) -> tuple[FloatArray, FloatArray, FloatArray]:
    ks, ns, ps = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (k, n, p)))
    whole = np.array_equal(ks, np.floor(ks)) and np.array_equal(ns, np.floor(ns))
    _check(
        whole and bool(np.all((ks >= 0) & (ks <= ns) & (ns < np.inf) & (ps > 0) & (ps < 1))),
        "k successes of n trials, 0 <= k <= n, each with a chance in (0, 1)",
    )
    return ks, ns, ps


def _whole(k: Numbers, mean: Numbers) -> tuple[FloatArray, FloatArray]:
    ks, means = np.broadcast_arrays(np.asarray(k, dtype=np.float64), np.asarray(mean, dtype=np.float64))
    _check(
        np.array_equal(ks, np.floor(ks)) and bool(np.all((ks >= 0) & (ks < np.inf) & (means > 0) & (means < np.inf))),
        "k is a count of at least 0, the mean a finite number above 0",
    )
    return ks, means


def _positive(x: Numbers, shape: Numbers) -> tuple[FloatArray, FloatArray]:
    xs, shapes = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(shape, dtype=np.float64))
    _check(
        bool(np.all((xs > 0) & (xs < np.inf) & (shapes > 0) & (shapes < np.inf))),
        "x and the shape are finite numbers above 0",
    )
    return xs, shapes


def _check(fits: bool, demand: str) -> None:
    if not fits:
        raise ValueError(f"needs {demand}")


def _log10(tail: FloatArray, rest: FloatArray, deep: Callable[..., float], *args: FloatArray) -> float | FloatArray:
    """log10 of ``tail``, read off ``rest`` = 1 - tail near 1, and from ``deep`` (natural log) where a float ends."""
    with np.errstate(divide="ignore"):
        logs = np.atleast_1d(np.where(tail < 0.5, np.log10(tail), np.log1p(-np.minimum(rest, 0.5)) / LN10))
    for i in np.flatnonzero(tail < _SMALLEST):
        logs.flat[i] = deep(*(float(arg.flat[i]) for arg in args)) / LN10
    return _scalar(logs.reshape(np.shape(tail)))


def _scalar(values: npt.ArrayLike) -> float | FloatArray:
    array = np.asarray(values, dtype=np.float64)
    return float(array) if array.ndim == 0 else array
