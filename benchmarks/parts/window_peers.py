"""Published window tests, written anew from their papers over one static embedding. Higher is more suspicious.

A window is an array [queries, 256] of embeddings of length 1. Whatever a paper learns or sets from benign traffic is
set from ``benign``, a sample of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

Array = np.ndarray
Statistic = Callable[[Array], float]

BANDWIDTHS = (0.5, 1.0, 2.0, 4.0)


def mmd(benign: Array) -> Statistic:
    """Squared maximum mean discrepancy to historical benign traffic with Gaussian kernels of four bandwidths around
    the median distance, unbiased: arXiv 2606.05725, section 3 (Gretton et al. 2012, equation 3).
    """
    scales = _median(benign) * np.array(BANDWIDTHS)
    within = _off_diagonal(_kernel(benign, benign, scales))

    def statistic(window: Array) -> float:
        own = _off_diagonal(_kernel(window, window, scales))
        return own + within - 2.0 * float(_kernel(window, benign, scales).mean())

    return statistic


@dataclass(frozen=True)
class Kind:
    """One kind of benign tenant: queries of the past, and windows of its past tenants."""

    history: Array
    windows: Sequence[Array]


def by_kind(kinds: Sequence[Kind], test: Callable[[Kind], Statistic]) -> Statistic:
    """A test against the kind whose mean lies nearest to the window's, in deviations of that kind's own windows."""
    means = np.stack([kind.history.mean(axis=0) for kind in kinds])
    each = []
    for kind in kinds:
        statistic = test(kind)
        usual = np.array([statistic(window) for window in kind.windows])
        each.append((statistic, float(usual.mean()), float(usual.std())))

    def compared(window: Array) -> float:
        statistic, middle, spread = each[int(((means - window.mean(axis=0)) ** 2).sum(axis=1).argmin())]
        return (statistic(window) - middle) / spread

    return compared


def prada(benign: Array) -> Statistic:
    """How far the distances of each query to its nearest earlier one are from normal, 1 - W of Shapiro and Wilk,
    distances beyond three deviations left out: PRADA (Juuti et al. 2019), section V.
    """

    def statistic(window: Array) -> float:
        near = window @ window.T
        earlier = np.where(np.tri(len(window), k=-1, dtype=bool), near, -1.0)[1:].max(axis=1)
        distance = np.sqrt(np.maximum(2.0 - 2.0 * earlier, 0.0))
        kept = distance[np.abs(distance - distance.mean()) <= 3.0 * distance.std()]
        return 1.0 - float(stats.shapiro(kept).statistic) if np.ptp(kept) > 0 else 1.0

    return statistic


def seat(benign: Array) -> Statistic:
    """The share of queries with a similar one in the same window: SEAT (Zhang et al. 2021), section 3, whose encoder
    is replaced by the static embedding; similar are pairs nearer than one in ten thousand of benign pairs are.
    """
    pairs = (benign @ benign.T)[np.triu_indices(len(benign), 1)]
    similar = float(np.quantile(pairs, 0.9999))

    def statistic(window: Array) -> float:
        near = window @ window.T
        np.fill_diagonal(near, -1.0)
        return float((near.max(axis=1) >= similar).mean())

    return statistic


def mahalanobis(benign: Array) -> Statistic:
    """The mean over queries of the squared Mahalanobis distance to benign traffic, one Gaussian with a shrunk
    covariance (Lee et al. 2018, as adapted to queries in arXiv 2606.05725, section 4).
    """
    middle = benign.mean(axis=0)
    covariance = np.cov(benign.T)
    shrunk = 0.9 * covariance + 0.1 * np.eye(len(middle)) * np.trace(covariance) / len(middle)
    factor = np.linalg.cholesky(np.linalg.inv(shrunk))

    def statistic(window: Array) -> float:
        return float((((window - middle) @ factor) ** 2).sum(axis=1).mean())

    return statistic


def _median(points: Array) -> float:
    squares = 2.0 - 2.0 * (points @ points.T)[np.triu_indices(len(points), 1)]
    return float(np.sqrt(np.median(np.maximum(squares, 0.0))))


def _kernel(left: Array, right: Array, scales: Array) -> Array:
    squares = np.maximum(2.0 - 2.0 * (left @ right.T), 0.0)
    return np.mean([np.exp(-squares / (2.0 * scale**2)) for scale in scales], axis=0)


def _off_diagonal(kernel: Array) -> float:
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))
