from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spiritsafe.detect.ring.rhythm import CROWDED, Rhythm, crowd_of, days_of_week, rhythm

Make = Callable[..., np.ndarray]


def read(counts: np.ndarray) -> Rhythm:
    return rhythm(counts, crowd_of(counts, days_of_week(0, counts.shape[1])))


def z(rows: np.ndarray, width: np.ndarray) -> np.ndarray:
    r = rows @ rows.T
    pairs = np.triu_indices(len(r), 1)
    least = np.minimum(width[pairs[0]], width[pairs[1]])
    return np.arctanh(np.clip(r[pairs], -0.9999, 0.9999)) * np.sqrt(np.maximum(least - 3.0, 0.0))


def test_honest_customers_are_in_step_no_more_than_chance(honest_hours: Make) -> None:
    found = read(honest_hours(300, 1))
    for rows, width in ((found.hours, found.hour_width), (found.days, found.day_width)):
        said = (rows != 0).any(axis=1)
        values = z(rows[said], width[said])
        assert abs(values.mean()) < 0.1
        assert values.std() < 1.15
        assert np.quantile(values, 0.999) < 4.0


def test_rows_have_length_one_and_say_nothing_outside_their_own_time(honest_hours: Make) -> None:
    counts = honest_hours(60, 2)
    counts[0] = 0.0
    counts[1, :7] = 0.0
    found = read(counts)
    assert not found.hours[0].any()
    np.testing.assert_allclose(np.linalg.norm(found.hours[1:], axis=1), 1.0, rtol=1e-4)
    assert not found.hours[1].reshape(14, 24)[:7].any()
    assert found.hour_width[1] < found.hour_width[2:].max() / 2


def test_hours_in_which_all_are_busy_are_left_out(honest_hours: Make) -> None:
    counts = honest_hours(200, 3)
    counts[::2, 6, 13] += 30.0
    crowd = crowd_of(counts, days_of_week(0, 14))
    assert not crowd.open_hours[6, 13]
    assert (~crowd.open_hours).mean() <= CROWDED + 0.01


def test_who_comes_late_is_not_in_step_with_who_comes_as_late(honest_hours: Make) -> None:
    counts = honest_hours(200, 4)
    counts[:60, :6] = 0.0
    found = read(counts)
    values = z(found.days[:60], found.day_width[:60])
    assert abs(values.mean()) < 0.25


def test_weekends_are_not_in_step(honest_hours: Make, weekend: Make) -> None:
    counts = honest_hours(200, 5)
    counts[:80] *= np.where(weekend(14), 0.0, 1.0)[None, :, None].astype(np.float32)
    found = read(counts)
    assert abs(z(found.days[:80], found.day_width[:80]).mean()) < 0.3


@pytest.mark.parametrize(("by", "least"), [("hour", 6.0), ("day", 3.0)])
def test_who_keeps_step_is(honest_hours: Make, in_step: Make, by: str, least: float) -> None:
    counts = np.concatenate([honest_hours(200, 6), in_step(8, 6, by=by, per_day=200.0)])
    found = read(counts)
    rows, width = (found.hours, found.hour_width) if by == "hour" else (found.days, found.day_width)
    assert np.median(z(rows[200:], width[200:])) > least
    assert found.uneven[200:].all() or by == "hour"


def test_an_account_alone_is_read_against_the_crowd(honest_hours: Make) -> None:
    counts = honest_hours(100, 7)
    crowd = crowd_of(counts, days_of_week(0, 14))
    np.testing.assert_allclose(rhythm(counts[3:4], crowd).hours[0], rhythm(counts, crowd).hours[3], atol=1e-5)


def test_nobody_has_no_rhythm() -> None:
    none = np.zeros((0, 14, 24), dtype=np.float32)
    assert read(none).hours.shape == (0, 336)
