from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.detect.cores import MOST_CORES, Cores, CoresState, pairs_of, rows_of

Rows = list[tuple[int, int, int]]


def learnt(*parts: list[tuple[int, int]]) -> Cores:
    made = Cores()
    for part in parts:
        made.learn(np.array([a for a, _ in part], dtype=np.int64), np.array([c for _, c in part], dtype=np.uint64))
    return made


def rows(cores: Cores) -> Rows:
    return list(zip(*(column.tolist() for column in cores.sample()), strict=True))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**64 - 1)), max_size=80), st.integers(0, 80))
def test_order_and_parts_do_not_matter(asked: list[tuple[int, int]], cut: int) -> None:
    assert rows(learnt(asked)) == rows(learnt(asked[cut:][::-1], asked[:cut]))
    assert sum(times for *_, times in rows(learnt(asked))) == len(asked)


def test_of_much_the_smallest_are_kept_and_every_account_keeps_the_same_ones() -> None:
    shared = [(account, core) for account in (0, 1) for core in range(3000)]
    found = rows(learnt(shared))
    kept = {account: [core for a, core, _ in found if a == account] for account in (0, 1)}
    assert kept[0] == kept[1] == list(range(MOST_CORES))
    assert len(msgspec.msgpack.encode(learnt(shared).state())) < 2 * 16 * 1024


def test_a_state_goes_on_where_it_stopped() -> None:
    made = learnt([(0, 5), (1, 2**64 - 1)])
    again = Cores.from_state(msgspec.msgpack.decode(msgspec.msgpack.encode(made.state()), type=CoresState))
    for each in (made, again):
        each.learn(np.array([1]), np.array([2**64 - 1], dtype=np.uint64))
    assert rows(made) == rows(again) == [(0, 5, 1), (1, 2**64 - 1, 2)]


def test_several_are_put_together_under_other_numbers() -> None:
    one, other = learnt([(0, 5), (1, 6)]), learnt([(0, 6)])
    assert rows(Cores.beside([one, other], [0, 1])) == [(0, 5, 1), (1, 6, 2)]
    assert rows(Cores.beside([other, one], [2, 0])) == [(0, 5, 1), (1, 6, 1), (2, 6, 1)]
    assert rows(Cores.beside([], [])) == []


def test_samples_can_be_cut() -> None:
    sample = learnt([(0, 5), (1, 6), (3, 1), (3, 2)]).sample()
    assert sample.where(sample.account == 1).core.tolist() == [6]
    assert sample.of(np.array([3, 2, 0])).core.tolist() == [5, 1, 2]


@given(st.lists(st.integers(0, 9)), st.sets(st.integers(-1, 10)))
def test_rows_of_values_are_those_that_hold_them(column: list[int], wanted: set[int]) -> None:
    held = np.sort(np.array(column, dtype=np.int64))
    found = rows_of(held, np.array(list(wanted), dtype=np.int64))
    assert found.tolist() == np.flatnonzero(np.isin(held, list(wanted))).tolist()


def test_much_at_once_is_settled_on_the_way() -> None:
    made = Cores()
    rng = np.random.default_rng(1)
    for _ in range(3):
        made.learn(rng.integers(0, 100, 500_000), rng.integers(0, 2**63, 500_000).astype(np.uint64))
    assert len(made.sample().account) == 100 * MOST_CORES


def test_pairs_come_once_and_sorted() -> None:
    party, core = pairs_of(np.array([2, 1, 2, 1, 2]), np.array([5, 2**63 + 1, 5, 7, 3], dtype=np.uint64))
    assert list(zip(party.tolist(), core.tolist(), strict=True)) == [(1, 7), (1, 2**63 + 1), (2, 3), (2, 5)]
    assert len(pairs_of(party[:0], core[:0])[0]) == 0
