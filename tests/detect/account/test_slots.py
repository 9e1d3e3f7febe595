from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.detect.account.slots import Slots, slot_of, unevenness


def summary(slots: np.ndarray, sums: np.ndarray) -> list[float]:
    first = float(slots[0]) if len(slots) else -1.0
    return [first, float(len(slots)), *(sums.sum(axis=0).tolist() if len(slots) else [0.0, 0.0])]


def rows(*pairs: tuple[float, float]) -> np.ndarray:
    return np.array(pairs, dtype=np.float32).reshape(-1, 2)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=60), st.randoms())
def test_order_and_batches_do_not_matter(pairs: list[tuple[float, float]], random: object) -> None:
    whole, singly = Slots(50, 1, summary), Slots(50, 1, summary)
    whole.learn(rows(*pairs))
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for pair in shuffled:
        singly.learn(rows(pair))
    np.testing.assert_array_equal(whole.window(), singly.window())
    assert whole.window()[1] == len({slot for slot, _ in pairs})
    again = Slots(50, 1, summary).restored(whole.state())
    np.testing.assert_array_equal(again.window(), whole.window())
    assert again.state() == whole.state()


def test_rows_without_a_slot_count_for_nothing_and_values_that_are_unknown_add_nothing() -> None:
    tracker = Slots(50, 1, summary)
    tracker.learn(rows((np.nan, 5.0), (3.0, np.nan), (3.0, 2.0)))
    assert tracker.window().tolist() == [3.0, 1.0, 2.0, 2.0]


def test_the_busiest_stretch_is_kept_whatever_a_wrong_clock_says() -> None:
    tracker = Slots(50, 1, summary)
    tracker.learn(rows((0.0, 1.0), (990_000.0, 1.0), *((500_000.0 + i, 1.0) for i in range(40)), (2.0, 1.0)))
    assert tracker.window().tolist() == [500_000.0, 40.0, 40.0, 40.0]


def test_memory_is_bounded_however_long_it_lasts() -> None:
    tracker = Slots(50, 1, summary)
    for start in range(0, 2000, 20):
        tracker.learn(rows(*((float(start + i), 1.0) for i in range(20))))
    assert len(tracker.state()) <= 50 * 12
    assert tracker.window()[1] == 50.0


def test_times_that_no_clock_says_have_no_slot() -> None:
    found = slot_of(np.array([0.0, 3599.0, 3600.0, -1.0, np.nan, np.inf, 1e12]), 3600.0)
    assert found[:3].tolist() == [0.0, 0.0, 1.0]
    assert np.isnan(found[3:]).all()


def test_unevenness_is_0_for_chance_below_for_a_pace_and_the_number_of_bins_for_one_burst() -> None:
    rng = np.random.default_rng(2)
    by_chance = [unevenness(rng.poisson(5.0, 100).astype(float), 100.0) for _ in range(200)]
    assert np.mean(by_chance) == pytest.approx(0.0, abs=0.01)
    assert unevenness(np.full(100, 5.0), 100.0) < -0.15
    assert unevenness(np.array([50.0]), 100.0) == pytest.approx(99.0)
    rates = np.repeat([1.0, 9.0], 50)
    unequal = [unevenness(rng.poisson(rates).astype(float), 100.0) for _ in range(200)]
    assert np.mean(unequal) == pytest.approx(0.64, abs=0.03)
    assert np.isnan(unevenness(np.array([1.0]), 24.0))
