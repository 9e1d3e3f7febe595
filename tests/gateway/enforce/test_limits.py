from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.gateway.enforce.limits import MINUTE, Bucket


def test_a_full_bucket_gives_a_minutes_worth_and_then_makes_wait() -> None:
    bucket = Bucket(3, now=0.0)
    for _ in range(3):
        assert bucket.wait(1, 0.0) == 0
        bucket.take(1)
    assert bucket.wait(1, 0.0) == pytest.approx(20.0)
    assert bucket.wait(1, 19.9) > 0
    assert bucket.wait(1, 20.0) == pytest.approx(0, abs=1e-9)


@given(st.integers(1, 1000), st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50)), max_size=60))
def test_no_more_leaves_than_the_capacity_and_the_refill(per_minute: int, tries: list[tuple[float, int]]) -> None:
    bucket, now, taken = Bucket(per_minute, 0.0), 0.0, 0.0
    for pause, amount in tries:
        now += pause
        if amount <= per_minute and bucket.wait(amount, now) == 0:
            bucket.take(amount)
            taken += amount
        assert taken <= per_minute * (1 + now / MINUTE) + 1e-6
        assert 0 <= bucket.level(now) <= per_minute


@given(st.integers(1, 1000), st.floats(0.1, 2000), st.floats(0, 100))
def test_after_the_wait_it_is_there(per_minute: int, amount: float, spent: float) -> None:
    bucket = Bucket(per_minute, 0.0)
    bucket.take(spent)
    wait = bucket.wait(amount, 0.0)
    assert bucket.wait(amount, wait + 1e-6) == 0


def test_more_than_it_holds_waits_until_it_is_full_and_not_for_ever() -> None:
    bucket = Bucket(10, 0.0)
    assert bucket.wait(500, 0.0) == 0
    bucket.take(500)
    assert bucket.level(0.0) == -490
    assert bucket.wait(1, 0.0) == pytest.approx(491 * 6)


def test_what_was_not_used_is_given_back_but_never_beyond_full() -> None:
    bucket = Bucket(10, 0.0)
    bucket.take(8)
    bucket.take(-3)
    assert bucket.level(0.0) == 5
    bucket.take(-100)
    assert bucket.level(0.0) == 10


def test_a_new_size_keeps_the_share_that_is_left() -> None:
    bucket = Bucket(10, 0.0)
    bucket.take(5)
    bucket.resize(100, 0.0)
    assert (bucket.level(0.0), bucket.refill(0.0)) == (50, 30)
