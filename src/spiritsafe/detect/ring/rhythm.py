"""What is left of an account's hours once its own habits and everybody's moments are taken out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spiritsafe.detect.types import BoolArray, FloatArray, IntArray

CROWDED = 0.10
"""At most this share of all hours is left out because everyone was busy then: news, outages, a release."""

_BURST, _CROWD = 2.0, 0.05
_ROUNDS = 6
_CLIP = 3.0
_WEEK = 7
_LEAST_WIDTH = 8
_UNEVEN = 0.01
_STRETCH = 0.7


class Rhythm(NamedTuple):
    """One row a customer. ``hours`` [n, hours] and ``days`` [n, days] are float32, of length 1 a row, 0 where a row
    says nothing; ``hour_width`` and ``day_width`` [n] are in how many dimensions a row is free.

    ``uneven`` are the rows whose days differ more than a steady customer's would; ``stretch`` those among them whose
    days are mostly one stretch.
    """

    hours: NDArray[np.float32]
    hour_width: FloatArray
    days: NDArray[np.float32]
    day_width: FloatArray
    uneven: BoolArray
    stretch: BoolArray


class Crowd(NamedTuple):
    """What all have in common: the hours that are left open [days, 24], each hour's and each day's mean and spread."""

    open_hours: BoolArray
    week: IntArray
    hours: tuple[NDArray[np.float32], NDArray[np.float32]]
    days: tuple[NDArray[np.float32], NDArray[np.float32]]


def days_of_week(first: int, days: int) -> IntArray:
    """The kind of each day from day number ``first`` on (0 is Monday): Monday, Tuesday to Thursday, Friday, Saturday,
    Sunday: a week ends at other hours and on other days elsewhere. In less than two weeks, working days and the rest.
    """
    week = (first + np.arange(days)) % _WEEK
    return np.array([0, 1, 1, 1, 2, 3, 4] if days >= 2 * _WEEK else [0, 0, 0, 0, 0, 1, 1], dtype=np.int64)[week]


def crowd_of(counts: NDArray[np.float32], week: IntArray) -> Crowd:
    """The crowd that customers with these ``counts`` [n, days, 24] are; ``week`` [days] is the kind of each day."""
    open_hours = ~_crowded(counts)
    hours = _common(*_residual(counts, open_hours, week))
    return Crowd(open_hours, week, hours, _common(*_day_residual(counts, open_hours, week)))


def rhythm(counts: NDArray[np.float32], crowd: Crowd) -> Rhythm:
    """Residuals of ``counts`` [n, days, 24] within each row's first and last hour: of hours against day total x hour of
    this kind of day, of days against the mean of their kind.

    Hours in which many of the crowd burst at once are left out for all, and so is what the crowd has in common.
    """
    residual, weight = _residual(counts, crowd.open_hours, crowd.week)
    centre, spread = crowd.hours
    hours = np.clip((residual - centre) / spread, -_CLIP, _CLIP) * weight
    cells = counts.shape[1] * counts.shape[2]
    hours = _unit(hours.reshape(len(counts), cells), weight.reshape(len(counts), cells))
    days, width, uneven = _days(counts, crowd)
    stretch = uneven & (_one_stretch(days, crowd.week) >= _STRETCH)
    return Rhythm(hours, _free(weight, crowd.week), days, width, uneven, stretch)


def _free(weight: NDArray[np.float32], week: IntArray) -> FloatArray:
    """In how many dimensions each row's hours are free: one less a day and one less an hour of each kind of day."""
    free = np.zeros(len(weight))
    for kind in np.unique(week).tolist():
        part = weight[:, week == kind]
        rows, columns = (part.sum(axis=axis) > 0 for axis in (2, 1))
        free += np.maximum(part.sum(axis=(1, 2)) - rows.sum(axis=1) - columns.sum(axis=1) + 1.0, 0.0) * rows.any(axis=1)
    return free


def _crowded(counts: NDArray[np.float32]) -> BoolArray:
    """Hours [days, 24] in which more rows burst than in nearly all others, at most ``CROWDED`` of them.

    All days are of one kind here: of two Mondays, a burst on one would be halved by the other.
    """
    if not len(counts):
        return np.zeros(counts.shape[1:], dtype=bool)
    one_kind = np.zeros(counts.shape[1], dtype=np.int64)
    residual, weight = _residual(counts, np.ones(counts.shape[1:], dtype=bool), one_kind)
    bursts = (residual > _BURST).sum(axis=0) / np.maximum(weight.sum(axis=0), 1.0)
    level = np.sort(bursts, axis=None)[-max(1, int(CROWDED * bursts.size))]
    return np.asarray(bursts >= max(float(level), min(_CROWD, 2.0 * float(np.median(bursts)) + 1e-9)))


def _span(counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 from a row's first hour to its last, else 0: who came late has not been silent before."""
    flat = counts.reshape(len(counts), counts.shape[1] * counts.shape[2]) > 0
    begun = np.maximum.accumulate(flat, axis=1)
    ends = np.maximum.accumulate(flat[:, ::-1], axis=1)[:, ::-1]
    return (begun & ends).reshape(counts.shape).astype(np.float32)


def _residual(
    counts: NDArray[np.float32], open_hours: BoolArray, week: IntArray
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Counts less what a row's days and hours of the day lead to expect, in Poisson units; and which cells count."""
    weight = _span(counts) * open_hours
    seen = counts * weight
    expected = np.zeros_like(seen)
    for kind in np.unique(week).tolist():
        expected[:, week == kind] = _fitted(seen[:, week == kind], weight[:, week == kind])
    cells = np.maximum(weight.sum(axis=(1, 2), keepdims=True), 1.0)
    floor = 0.15 * seen.sum(axis=(1, 2), keepdims=True) / cells + 0.02
    return (seen - expected) / np.sqrt(expected + floor) * weight, weight


def _fitted(seen: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Day total x hour of the day [n, days, 24] by iterative proportional fitting, with cells missing."""
    day = np.ones((*seen.shape[:2], 1), dtype=np.float32)
    hour = np.ones((len(seen), 1, seen.shape[2]), dtype=np.float32)
    for _ in range(_ROUNDS):
        day = seen.sum(axis=2, keepdims=True) / np.maximum((hour * weight).sum(axis=2, keepdims=True), 1e-6)
        hour = seen.sum(axis=1, keepdims=True) / np.maximum((day * weight).sum(axis=1, keepdims=True), 1e-6)
    return np.asarray(day * hour * weight, dtype=np.float32)


def _common(
    residual: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What is in the middle of each hour (or day) over the rows, and their spread around it.

    The median: a mean would follow a large ring, and all others would then lean away from it together.
    """
    seen = np.sort(np.where(weight > 0, residual, np.inf), axis=0)
    n = (weight > 0).sum(axis=0)
    place = np.maximum(n - 1, 0)[None] // 2
    centre = np.take_along_axis(seen, place, axis=0)[0] if len(seen) else np.zeros(seen.shape[1:], np.float32)
    centre = np.where(n > 0, centre, 0.0).astype(np.float32)
    around = ((residual - centre) ** 2 * weight).sum(axis=0) / np.maximum(n, 1)
    return centre, np.maximum(np.sqrt(around), 0.1).astype(np.float32)


def _unit(rows: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centre each row over the cells that count, and bring it to length 1."""
    mean = rows.sum(axis=1, keepdims=True) / np.maximum(weight.sum(axis=1, keepdims=True), 1.0)
    centred = (rows - mean) * weight
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    return np.asarray(centred / np.maximum(length, 1e-9) * (length > 1e-6), dtype=np.float32)


def _days(counts: NDArray[np.float32], crowd: Crowd) -> tuple[NDArray[np.float32], FloatArray, BoolArray]:
    """Which days were busier than others of their kind, and in how many dimensions a row's days are free."""
    residual, weight = _day_residual(counts, crowd.open_hours, crowd.week)
    centre, spread = crowd.days
    rows = (residual - centre) / spread * weight
    width = np.zeros(len(counts))
    for kind in np.unique(crowd.week).tolist():
        here = crowd.week == kind
        days = weight[:, here].sum(axis=1, keepdims=True)
        rows[:, here] -= rows[:, here].sum(axis=1, keepdims=True) / np.maximum(days, 1.0) * weight[:, here]
        width += np.maximum(days[:, 0] - 1.0, 0.0)
    enough = width >= _LEAST_WIDTH
    total = (residual.astype(np.float64) ** 2).sum(axis=1)
    uneven = enough & (stats.chi2.sf(total, np.maximum(width, 1.0)) <= _UNEVEN)
    length = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    rows = (rows / np.maximum(length, 1e-9) * (length > 1e-6) * enough[:, None]).astype(np.float32)
    return rows, width, uneven


def _one_stretch(rows: NDArray[np.float32], week: IntArray) -> NDArray[np.float32]:
    """How much of each row one stretch of days explains: a start, an end, a pause or a holiday, which many have."""
    days = rows.shape[1]
    at = np.arange(days)
    ends = [(i, j) for i in range(days) for j in range(i + 1, days + 1) if j - i < days]
    shapes = np.array([(at >= i) & (at < j) for i, j in ends], dtype=np.float32).reshape(len(ends), days)
    for kind in np.unique(week).tolist():
        shapes[:, week == kind] -= shapes[:, week == kind].mean(axis=1, keepdims=True)
    power = (shapes**2).sum(axis=1)
    shapes = shapes[power > 1e-6] / np.sqrt(power[power > 1e-6])[:, None]
    explained = (rows @ shapes.T) ** 2
    return np.asarray(explained.max(axis=1, initial=0.0), dtype=np.float32)


def _day_residual(
    counts: NDArray[np.float32], open_hours: BoolArray, week: IntArray
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Days' totals less what a row's hours of this kind of day lead to expect, in Poisson units, and which count."""
    weight = _span(counts) * open_hours
    seen = counts * weight
    expected = np.zeros(counts.shape[:2], dtype=np.float32)
    for kind in np.unique(week).tolist():
        part, here = weight[:, week == kind], seen[:, week == kind]
        hour = here.sum(axis=1, keepdims=True) / np.maximum(part.sum(axis=1, keepdims=True), 1.0)
        expected[:, week == kind] = (hour * part).sum(axis=2)
    # The first and the last day are only partly the row's own.
    present = (weight.sum(axis=2) >= 0.25 * np.maximum(open_hours.sum(axis=1), 1.0)).astype(np.float32)
    return (seen.sum(axis=2) - expected) / np.sqrt(expected + 1.0) * present, present
