"""What is left of an account's hours once its own habits and everybody's moments are taken out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spiritsafe.detect.types import FloatArray

CROWDED = 0.10
"""At most this share of all hours is left out because everyone was busy then: news, outages, a release."""

_BURST, _CROWD = 2.0, 0.05
_ROUNDS = 6
_CLIP = 3.0
_LEAST_DAYS = 7
_UNEVEN = 0.01


class Rhythm(NamedTuple):
    """One row a customer. ``hours`` [n, hours] and ``days`` [n, days] are float32, of length 1 a row, 0 where a row
    says nothing; ``hour_width`` and ``day_width`` [n] are in how many dimensions a row is free.

    ``uneven`` are the rows whose days differ more than a steady customer's would.
    """

    hours: NDArray[np.float32]
    hour_width: FloatArray
    days: NDArray[np.float32]
    day_width: FloatArray
    uneven: NDArray[np.bool_]


class Crowd(NamedTuple):
    """What all have in common: the hours that are left open [days, 24], each hour's and each day's mean and spread."""

    open_hours: NDArray[np.bool_]
    weekend: NDArray[np.bool_]
    hours: tuple[NDArray[np.float32], NDArray[np.float32]]
    days: tuple[NDArray[np.float32], NDArray[np.float32]]


def crowd_of(counts: NDArray[np.float32], weekend: NDArray[np.bool_]) -> Crowd:
    """The crowd that customers with these ``counts`` [n, days, 24] are. ``weekend`` [days]."""
    open_hours = ~_crowded(counts)
    hours = _common(*_residual(counts, open_hours))
    return Crowd(open_hours, weekend, hours, _common(*_day_residual(counts, open_hours)))


def rhythm(counts: NDArray[np.float32], crowd: Crowd) -> Rhythm:
    """Residuals of ``counts`` [n, days, 24] against day total x hour of the day, within each row's first and last hour.

    Hours in which many of the crowd burst at once are left out for all, and so is what the crowd has in common.
    """
    residual, weight = _residual(counts, crowd.open_hours)
    centre, spread = crowd.hours
    hours = np.clip((residual - centre) / spread, -_CLIP, _CLIP) * weight
    hours = _unit(hours.reshape(len(counts), -1), weight.reshape(len(counts), -1))
    days, width, uneven = _days(counts, crowd)
    return Rhythm(hours, weight.sum(axis=(1, 2)).astype(np.float64), days, width, uneven)


def _crowded(counts: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Hours [days, 24] in which more rows burst than in nearly all others, at most ``CROWDED`` of them."""
    if not len(counts):
        return np.zeros(counts.shape[1:], dtype=bool)
    residual, weight = _residual(counts, np.ones(counts.shape[1:], dtype=bool))
    bursts = (residual > _BURST).sum(axis=0) / np.maximum(weight.sum(axis=0), 1.0)
    level = np.sort(bursts, axis=None)[-max(1, int(CROWDED * bursts.size))]
    return np.asarray(bursts >= max(float(level), min(_CROWD, 2.0 * float(np.median(bursts)) + 1e-9)))


def _span(counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 from a row's first hour to its last, else 0: who came late has not been silent before."""
    flat = counts.reshape(len(counts), -1) > 0
    begun = np.maximum.accumulate(flat, axis=1)
    ends = np.maximum.accumulate(flat[:, ::-1], axis=1)[:, ::-1]
    return (begun & ends).reshape(counts.shape).astype(np.float32)


def _residual(
    counts: NDArray[np.float32], open_hours: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Counts less what a row's days and hours of the day lead to expect, in Poisson units; and which cells count."""
    weight = _span(counts) * open_hours
    seen = counts * weight
    day = np.ones((*counts.shape[:2], 1), dtype=np.float32)
    hour = np.ones((len(counts), 1, counts.shape[2]), dtype=np.float32)
    for _ in range(_ROUNDS):  # iterative proportional fitting, with cells missing
        day = seen.sum(axis=2, keepdims=True) / np.maximum((hour * weight).sum(axis=2, keepdims=True), 1e-6)
        hour = seen.sum(axis=1, keepdims=True) / np.maximum((day * weight).sum(axis=1, keepdims=True), 1e-6)
    expected = day * hour
    cells = np.maximum(weight.sum(axis=(1, 2), keepdims=True), 1.0)
    floor = 0.15 * seen.sum(axis=(1, 2), keepdims=True) / cells + 0.02
    return (seen - expected * weight) / np.sqrt(expected + floor) * weight, weight


def _common(
    residual: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and spread of each hour over the rows."""
    n = np.maximum(weight.sum(axis=0), 1.0)
    centre = residual.sum(axis=0) / n
    spread = np.sqrt(np.maximum((residual**2).sum(axis=0) / n - centre**2, 0.0))
    return centre, np.maximum(spread, 0.1)


def _unit(rows: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centre each row over the cells that count, and bring it to length 1."""
    mean = rows.sum(axis=1, keepdims=True) / np.maximum(weight.sum(axis=1, keepdims=True), 1.0)
    centred = (rows - mean) * weight
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    return np.asarray(centred / np.maximum(length, 1e-9) * (length > 1e-6), dtype=np.float32)


def _days(counts: NDArray[np.float32], crowd: Crowd) -> tuple[NDArray[np.float32], FloatArray, NDArray[np.bool_]]:
    """Which days were busier than a row's hours of the day lead to expect, what weekends explain taken out."""
    residual, weight = _day_residual(counts, crowd.open_hours)
    (centre, spread), weekend = crowd.days, crowd.weekend
    rows = (residual - centre) / spread * weight
    if weekend.any() and not weekend.all():
        pull = weight * weekend
        pull = (pull - pull.sum(axis=1, keepdims=True) / np.maximum(weight.sum(axis=1, keepdims=True), 1.0)) * weight
        along = (rows * pull).sum(axis=1, keepdims=True) / np.maximum((pull**2).sum(axis=1, keepdims=True), 1e-6)
        rows = rows - along * pull
    width = weight.sum(axis=1).astype(np.float64) - 1.0 - float(weekend.any())
    enough = width >= _LEAST_DAYS - 2
    total = (residual.astype(np.float64) ** 2 * weight).sum(axis=1)
    uneven = enough & (stats.chi2.sf(total, np.maximum(width, 1.0)) <= _UNEVEN)
    return _unit(rows * enough[:, None], weight), width, uneven


def _day_residual(
    counts: NDArray[np.float32], open_hours: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    weight = _span(counts) * open_hours
    seen = counts * weight
    # The first and the last day are only partly the row's own.
    hour = seen.sum(axis=1, keepdims=True) / np.maximum(weight.sum(axis=1, keepdims=True), 1.0)
    expected = (hour * weight).sum(axis=2)
    present = (weight.sum(axis=2) >= 0.25 * np.maximum(open_hours.sum(axis=1), 1.0)).astype(np.float32)
    return (seen.sum(axis=2) - expected) / np.sqrt(expected + 1.0) * present, present
