from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.detect.moments import HOUR, MOST_HOURS, Moments, MomentsState

NOON = 1.8e9


def learnt(*parts: tuple[list[int], list[float]]) -> Moments:
    made = Moments()
    for account, seconds in parts:
        made.learn(np.array(account, dtype=np.int64), np.array(seconds, dtype=np.float64))
    return made


def rows(moments: Moments) -> list[tuple[int, int, int]]:
    return list(zip(*(column.tolist() for column in moments.columns()), strict=True))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 300)), max_size=60), st.integers(0, 60))
def test_order_and_parts_do_not_matter(events: list[tuple[int, int]], cut: int) -> None:
    account, at = [a for a, _ in events], [NOON + 1800.0 * h for _, h in events]
    whole = learnt((account, at))
    apart = learnt((account[cut:][::-1], at[cut:][::-1]), (account[:cut], at[:cut]))
    assert rows(whole) == rows(apart)
    assert sum(count for _, _, count in rows(whole)) == len(events)


def test_what_has_no_time_or_an_impossible_one_counts_for_nothing() -> None:
    assert rows(learnt(([1, 1, 1], [np.nan, -5.0, 1e300]))) == []


def test_a_clock_years_ahead_pushes_nothing_out() -> None:
    honest = [NOON + HOUR * h for h in range(200)] * 10
    found = rows(learnt((list(range(2000)), honest), ([7], [4e9])))
    assert len(found) == 2000


def test_clocks_wrong_in_one_exchange_of_fifty_change_nothing() -> None:
    rng = np.random.default_rng(1)
    right = NOON + HOUR * rng.integers(0, 300, 20_000)
    account = rng.integers(0, 100, 20_400)
    wrong = np.concatenate([np.zeros(200), rng.uniform(3e9, 4e9, 200)])
    clean, mixed = Moments(), Moments()
    clean.learn(account[:20_000], right)
    for part in np.array_split(rng.permutation(20_400), 7):
        mixed.learn(account[part], np.concatenate([right, wrong])[part])
        mixed.state()  # settles
    assert rows(mixed) == rows(clean)


def test_after_a_gap_what_comes_next_is_seen_once_there_is_enough_of_it() -> None:
    made = learnt(([0] * 400, [NOON + HOUR * h for h in range(400)]))
    later = NOON + HOUR * 24 * 200
    for h in range(40):
        made.learn(np.array([1]), np.array([later + HOUR * h]))
        made.state()
    assert {account for account, _, _ in rows(made)} == {1}
    assert len(rows(made)) == 40


def test_only_the_last_weeks_are_kept_and_an_account_stays_small() -> None:
    hours = np.arange(3 * MOST_HOURS)
    made = learnt(([0] * len(hours), (NOON + hours * HOUR).tolist()))
    assert len(rows(made)) <= MOST_HOURS + 2
    assert len(msgspec.msgpack.encode(made.state())) < 16 * 1024


def test_a_state_goes_on_where_it_stopped() -> None:
    made = learnt(([1, 2], [NOON, NOON + HOUR]))
    again = Moments.from_state(msgspec.msgpack.decode(msgspec.msgpack.encode(made.state()), type=MomentsState))
    for each in (made, again):
        each.learn(np.array([1]), np.array([NOON + 9.0]))
    assert rows(made) == rows(again)


def test_several_are_put_together_under_other_numbers() -> None:
    made = Moments.beside([learnt(([0, 1], [NOON, NOON])), learnt(([0], [NOON]))], [0, 1])
    assert [(account, count) for account, _, count in rows(made)] == [(0, 1), (1, 2)]
    assert rows(Moments.beside([], [])) == []


def test_much_at_once_is_settled_on_the_way() -> None:
    made = Moments()
    rng = np.random.default_rng(1)
    for _ in range(3):
        made.learn(rng.integers(0, 5000, 500_000), NOON + rng.integers(0, 600, 500_000) * HOUR)
    assert sum(count for _, _, count in rows(made)) == 1_500_000
