from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.detect.account.nearby import LEAST
from spiritsafe.detect.account.standing import MOST_PEERS, Standing
from spiritsafe.detect.types import UNKNOWN

NOBODY = np.zeros(0, dtype=np.int64)
SUPPORT, TUTOR = np.array([0.7, 0.3, 0.0, 0.0]), np.array([0.1, 0.0, 0.8, 0.1])
MIXED = np.array([100, 65, 30, 5, 0], dtype=np.float32)


def window(rng: np.random.Generator, shares: np.ndarray, n: int) -> np.ndarray:
    return np.concatenate([[n], rng.multinomial(n, shares)]).astype(np.float32)


@pytest.fixture
def peers() -> np.ndarray:
    rng = np.random.default_rng(1)
    rows = [window(rng, SUPPORT, 100) for _ in range(30)] + [window(rng, TUTOR, 100) for _ in range(30)]
    return np.stack(rows)


def stands(peers: np.ndarray, *windows: np.ndarray) -> Standing:
    return Standing.of(np.stack(windows), peers, [NOBODY] * len(windows))


def odd_sort(peers: np.ndarray, row: np.ndarray) -> float:
    return float(stands(peers, row).deviations()[1][0, 2])


def test_windows_are_held_against_their_own_kind(peers: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    found = stands(peers, window(rng, SUPPORT, 100), window(rng, TUTOR, 100))
    assert (found.near.row[0] < 30).all()
    assert (found.near.row[1] >= 30).all()
    assert np.abs(found.deviations()[1]).max() < 4.5


def test_a_few_of_a_sort_that_the_kind_never_asks_for_stand_out(peers: np.ndarray) -> None:
    excess, deviations, _ = stands(peers, MIXED).deviations()
    assert deviations[0].argmax() == 2
    assert deviations[0, 2] > 3.0
    assert excess[0, 2] == pytest.approx(0.05)


def test_one_odd_prompt_among_few_says_little(peers: np.ndarray) -> None:
    assert odd_sort(peers, np.array([16, 10, 5, 1, 0], dtype=np.float32)) < 1.1


def test_the_same_shares_say_more_with_more_prompts(peers: np.ndarray) -> None:
    found = [odd_sort(peers, np.array([n, 0.65 * n, 0.3 * n, 0.05 * n, 0])) for n in (20, 40, 100, 256)]
    assert found == sorted(found)


def test_a_ring_that_shares_nothing_can_not_hide_behind_itself() -> None:
    rng = np.random.default_rng(7)
    kinds = [rng.dirichlet(np.full(8, 0.6)) for _ in range(20)]
    honest = [np.concatenate([window(rng, kind, 100), [0.0]]) for kind in kinds for _ in range(40)]
    ring = [np.concatenate([window(rng, 0.7 * kinds[0], 100), [30.0]]) for _ in range(15)]
    peers = np.stack([*honest, *ring]).astype(np.float32)
    found = Standing.of(peers[-1:], peers, [np.array([len(peers) - 1])]).deviations()[1][0]
    assert found.argmax() == 8
    assert found[8] > 5.0


def test_who_asked_nothing_is_nobodys_peer(peers: np.ndarray) -> None:
    silent = np.concatenate([peers, np.zeros((50, 5), dtype=np.float32)])
    found = stands(silent, MIXED)
    assert (found.near.row[0] < 30).all()


def test_a_kind_that_varies_makes_less_of_the_same(peers: np.ndarray) -> None:
    found = stands(peers, MIXED, np.array([100, 10, 0, 80, 10], dtype=np.float32))
    steady, varying = np.zeros(60), np.random.default_rng(3).normal(size=60)
    statistic = np.array([2.0, 2.0])
    calm = found.above(statistic, steady, 0.3)
    assert calm == pytest.approx([2.0 / np.sqrt(0.09 + 0.0)] * 2)
    assert (found.above(statistic, varying, 0.3) < calm).all()


def test_a_share_is_held_against_that_of_the_kind(peers: np.ndarray) -> None:
    usual = np.concatenate([np.full(30, 0.02), np.full(30, 0.5)])
    found = stands(peers, MIXED, np.array([100, 10, 0, 80, 10], dtype=np.float32))
    high, common = found.share_above(np.array([0.5, 0.5]), usual, 0.02)
    assert high > 4.0
    assert abs(common) < 1.0


def test_without_peers_a_share_stands_for_itself() -> None:
    none = np.zeros((0, 5), dtype=np.float32)
    found = Standing.of(np.stack([MIXED, MIXED]), none, [NOBODY] * 2)
    low, high = found.share_above(np.array([0.1, 0.6]), np.zeros(0), 0.02)
    assert 0.0 < low < high
    assert not found.near.enough().any()


def test_what_was_measured_is_unknown_with_too_few_peers(peers: np.ndarray) -> None:
    statistic, effect = np.array([2.0]), np.array([0.3])
    known = stands(peers, MIXED).measured(statistic, effect)
    assert (known.statistic.tolist(), known.effect.tolist(), known.n.tolist()) == ([2.0], [0.3], [100])
    assert stands(peers[: LEAST - 1], MIXED).measured(statistic, effect).statistic.tolist() == [UNKNOWN]


def test_peers_are_not_held_against_themselves(peers: np.ndarray) -> None:
    found = stands(peers, MIXED)
    assert (found.among.near.row != np.arange(60)[:, None]).all()


def test_of_very_many_peers_some_stand_for_all_and_kin_stay_left_out() -> None:
    rng = np.random.default_rng(5)
    many = np.stack([window(rng, SUPPORT, 50) for _ in range(MOST_PEERS + 501)])
    kin = np.arange(0, len(many), 2)
    found = Standing.of(many[:1], many, [kin])
    assert len(found.kept) <= MOST_PEERS
    assert not found.near.there.any()  # every second is kept, and every second is kin
    assert Standing.of(many[:1], many, [kin + 1]).near.there.all()
