from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spiritsafe.detect.features import SHARED
from spiritsafe.detect.moments import HOUR, Moments
from spiritsafe.detect.ring.lockstep import Lockstep
from spiritsafe.detect.types import LinkTable, Ring

Make = Callable[..., np.ndarray]
PAYMENT = [name for name, _ in SHARED].index("payment")
MONDAY = 20_521 * 24


def table(counts: np.ndarray, cards: np.ndarray | None = None, looks: int = 1) -> LinkTable:
    """Account i sent ``counts[i]`` and paid with card ``cards[i]``."""
    account, day, hour = np.nonzero(counts)
    times = counts[account, day, hour].astype(int)
    moments = Moments()
    at = np.repeat(MONDAY + day * 24 + hour, times) * HOUR
    moments.learn(np.repeat(account, times).astype(np.int64), at.astype(np.float64))
    n = len(counts)
    paid = (np.arange(n) if cards is None else cards).astype(np.uint64) + np.uint64(1)
    return LinkTable(
        tuple(f"a{i:04d}" for i in range(n)),
        np.arange(n),
        np.full(n, PAYMENT),
        paid,
        moments=moments,
        looks=looks,
    )


def rings(counts: np.ndarray, cards: np.ndarray | None = None, looks: int = 1) -> list[Ring]:
    found = table(counts, cards, looks)
    return Lockstep().rings(Lockstep().links(found), found)


@pytest.mark.parametrize("by", ["hour", "day"])
def test_customers_in_step_are_a_ring_and_only_they(honest_hours: Make, in_step: Make, by: str) -> None:
    counts = np.concatenate([in_step(10, 1, by=by, per_day=120.0), honest_hours(250, 1)])
    (ring,) = rings(counts)
    assert set(ring.accounts) <= {f"a{i:04d}" for i in range(10)}
    assert len(ring.accounts) >= (10 if by == "hour" else 8)
    assert set(ring.reasons) == set(ring.accounts)
    assert ring.basis == "when"
    assert ring.kinds == ("rhythm",)
    evidence, amounts = ring.evidence
    assert amounts.result.name == "amounts"
    assert evidence.family == "when"
    assert evidence.result.log10_e > (3.0 if by == "hour" else 1.5)
    assert f"same {by}s" in evidence.result.because[0]
    assert any("cleared" in words for words in evidence.result.because)


def test_a_group_of_keys_on_one_card_is_one_customer(honest_hours: Make, in_step: Make) -> None:
    company = in_step(12, 2)
    assert rings(np.concatenate([company, honest_hours(250, 2)]), np.r_[np.zeros(12), np.arange(1, 251)]) == []


def test_what_each_key_hides_the_cards_show_together(honest_hours: Make, in_step: Make) -> None:
    # Eight customers of six keys each, a quarter of whose traffic goes out in waves.
    counts = np.concatenate([in_step(48, 3, per_day=26.0, part=0.25), honest_hours(300, 3)])
    cards = np.r_[np.repeat(np.arange(8), 6), np.arange(8, 308)]
    (ring,) = rings(counts, cards)
    assert len(ring.customers) == 8
    assert {name for part in ring.customers for name in part} == {f"a{i:04d}" for i in range(48)}
    assert len(ring.reasons) > 36


def test_honest_customers_are_no_ring(honest_hours: Make) -> None:
    assert [r for seed in range(12) for r in rings(honest_hours(150, 100 + seed))] == []


def test_each_look_is_paid_for(honest_hours: Make, in_step: Make) -> None:
    counts = np.concatenate([in_step(6, 4), honest_hours(200, 4)])
    (once,), (often,) = rings(counts), rings(counts, looks=1000)
    assert often.log10_p == pytest.approx(once.log10_p + 3.0)


def test_a_bystander_on_a_rings_card_is_not_accused(honest_hours: Make, in_step: Make) -> None:
    counts = np.concatenate([in_step(20, 5, per_day=120.0), honest_hours(200, 5, per_day=60.0)])
    cards = np.r_[np.repeat(np.arange(5), 4), np.arange(5, 205)]
    cards[20:22] = 0
    (ring,) = rings(counts, cards)
    assert {"a0020", "a0021"} <= set(ring.accounts)
    assert not {"a0020", "a0021"} & set(ring.reasons)


def test_two_rings_stay_two(honest_hours: Make, in_step: Make) -> None:
    counts = np.concatenate([in_step(8, 6, per_day=120.0), in_step(8, 7, per_day=120.0), honest_hours(200, 6)])
    found = rings(counts)
    assert sorted(len(r.accounts) for r in found) == [8, 8]
    assert len({r.ring_id for r in found}) == 2


def test_nothing_known_of_time_is_no_ring() -> None:
    empty = LinkTable((), *(np.zeros(0, dtype=np.int64),) * 2, np.zeros(0, dtype=np.uint64))
    assert Lockstep().rings([], empty) == []
    assert rings(np.zeros((3, 14, 24), dtype=np.float32)) == []


def test_a_clock_years_ahead_hides_nobody(honest_hours: Make, in_step: Make) -> None:
    found = table(np.concatenate([in_step(10, 1), honest_hours(250, 1)]))
    assert found.moments is not None
    found.moments.learn(np.array([100]), np.array([4e9]))
    (ring,) = Lockstep().rings([], found)
    assert len(ring.accounts) == 10


def test_next_to_a_large_ring_nobody_is_drawn_in(honest_hours: Make, in_step: Make) -> None:
    counts = np.concatenate([in_step(40, 8, per_day=120.0), honest_hours(300, 8)])
    found = rings(counts)
    assert {name for r in found for name in r.accounts} <= {f"a{i:04d}" for i in range(40)}
    assert max(len(r.accounts) for r in found) >= 35
