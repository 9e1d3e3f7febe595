from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.detect.comparable import Comparable
from spiritsafe.detect.types import UNKNOWN
from spiritsafe.detect.wealth import log10_wealth
from spiritsafe.stats.evalues import average

KEYS = 3


def crowd(rng: np.random.Generator, customers: int) -> tuple[Comparable, np.ndarray, np.ndarray, np.ndarray]:
    """Customers of three kinds with three accounts each that do the very same; what they show depends on their kind and
    on how much they send. Who is comparable, the statistic of each account, and kind and amount of each customer.
    """
    kind, amount = rng.integers(3, size=customers), rng.lognormal(5.0, 1.0, customers)
    shown = 3.0 * kind + 0.8 * np.floor(np.log2(amount)) + rng.standard_t(4, customers)
    number = np.arange(customers).repeat(KEYS)
    names = [f"a{i}" for i in range(customers * KEYS)]
    comparable = Comparable.of(names, kind[number], amount[number].astype(np.int64), number)
    return comparable, shown[number], kind, amount


def parties(customers: np.ndarray) -> list[np.ndarray]:
    return [np.arange(number * KEYS, (number + 1) * KEYS) for number in customers.tolist()]


def test_customers_of_one_kind_that_send_much_win_no_more_than_promised() -> None:
    rng = np.random.default_rng(1)
    worth, among_all = [], []
    for _ in range(500):
        comparable, statistic, kind, amount = crowd(rng, 500)
        chosen = rng.permutation(np.flatnonzero((kind == 2) & (amount > np.median(amount))))[:12]
        worth.append(10.0 ** comparable.deal(parties(chosen)).log10_e(statistic)[0])
        outside = np.delete(statistic, np.concatenate(parties(chosen)))
        high = (outside[None] >= statistic[chosen * KEYS][:, None]).sum(axis=1)
        among_all.append(10.0 ** average(log10_wealth((1.0 + high) / (len(outside) + 1.0), len(outside))))
    assert np.mean(worth) <= 1.0 + 3.0 * np.std(worth) / len(worth) ** 0.5
    assert np.mean(np.array(worth) >= 20.0) <= 0.05
    # Ranked among everybody they look strange, even by the mean over them, for what they are.
    assert np.mean(among_all) > 1.5


def test_customers_that_stand_out_of_their_kind_win_the_more_the_more_there_are() -> None:
    comparable, statistic, kind, _ = crowd(np.random.default_rng(2), 900)
    statistic = np.where(np.repeat(kind == 1, KEYS), statistic, statistic - 99.0)
    chosen = np.flatnonzero(kind == 1)
    statistic[np.concatenate(parties(chosen[:20]))] += 50.0
    found = [comparable.deal(parties(chosen[:n])).log10_e(statistic)[0] for n in (3, 8, 20)]
    assert found == sorted(found)
    assert found[-1] > 4.0


@given(st.integers(2, 60), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_nobody_is_compared_with_twice_nor_with_those_of_the_ring(customers: int, ring: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    comparable, statistic, _, _ = crowd(rng, customers)
    chosen = rng.permutation(customers)[:ring]
    dealt = comparable.deal(parties(chosen))
    owner = dealt.party[dealt.place]
    assert (comparable.stratum[dealt.other] == comparable.stratum[dealt.member[dealt.place]]).all()
    assert not np.isin(comparable.customer[dealt.other], chosen).any()
    served = {(int(comparable.customer[other]), int(party)) for other, party in zip(dealt.other, owner, strict=True)}
    assert len({customer for customer, _ in served}) == len(served)
    log10_e, against, _ = dealt.log10_e(statistic)
    assert against == len(set(dealt.party.tolist())) <= len(chosen)
    assert np.isfinite(log10_e)


def test_of_whom_nobody_is_comparable_or_nothing_known_nothing_is_said() -> None:
    comparable, statistic, kind, _ = crowd(np.random.default_rng(3), 40)
    assert comparable.deal([]).log10_e(statistic) == (0.0, 0, 0)
    assert comparable.deal(parties(np.arange(40))).log10_e(statistic) == (0.0, 0, 0)
    some = comparable.deal(parties(np.flatnonzero(kind == 0)[:4]))
    assert some.log10_e(np.full(len(statistic), UNKNOWN)) == (0.0, 0, 0)


def test_as_much_is_within_a_factor_of_two_and_the_order_says_nothing() -> None:
    kind, number = np.array([0, 0, 0, 1]), np.arange(4)
    made = Comparable.of(["a", "b", "c", "d"], kind, np.array([32, 63, 64, 32]), number, looks=0)
    assert made.stratum[0] == made.stratum[1]
    assert len(set(made.stratum.tolist())) == 3
    assert sorted(made.order.tolist()) == [0, 1, 2, 3]
    assert made.looks == 1
    other = Comparable.of(["d", "c", "b", "a"], kind, np.array([32, 63, 64, 32]), number)
    assert [3 - row for row in other.order.tolist()] == made.order.tolist()


@pytest.mark.parametrize("size", [1, 4])
def test_accounts_of_a_customer_that_lie_elsewhere_are_left_aside(size: int) -> None:
    kind = np.array([0] * 20 + [1] * size)
    comparable = Comparable.of([f"a{i}" for i in range(len(kind))], kind, np.full(len(kind), 50), np.arange(len(kind)))
    dealt = comparable.deal([np.array([0, 1, 20])])
    assert dealt.member.tolist() == [0, 1]
