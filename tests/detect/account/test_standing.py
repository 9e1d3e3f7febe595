from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.detect.account import standing
from spiritsafe.detect.types import Peers

NOBODY = np.zeros(0, dtype=np.int64)
SUPPORT, TUTOR = np.array([0.7, 0.3, 0.0, 0.0]), np.array([0.1, 0.0, 0.8, 0.1])


def window(rng: np.random.Generator, shares: np.ndarray, n: int) -> np.ndarray:
    return np.concatenate([[n], rng.multinomial(n, shares)]).astype(np.float32)


@pytest.fixture
def peers() -> Peers:
    rng = np.random.default_rng(1)
    rows = [window(rng, SUPPORT, 100) for _ in range(30)] + [window(rng, TUTOR, 100) for _ in range(30)]
    return Peers(np.stack(rows))


def held(peers: Peers, *windows: np.ndarray) -> standing.Held:
    return standing.held(np.stack(windows), peers, [NOBODY] * len(windows))


def test_windows_are_held_against_their_own_kind(peers: Peers) -> None:
    rng = np.random.default_rng(2)
    found = held(peers, window(rng, SUPPORT, 100), window(rng, TUTOR, 100))
    assert (found.near.row[0] < 30).all()
    assert (found.near.row[1] >= 30).all()
    assert np.abs(found.deviations).max() < 4.5


def test_a_few_of_a_sort_that_the_kind_never_asks_for_stand_out(peers: Peers) -> None:
    mixed = np.array([100, 65, 30, 5, 0], dtype=np.float32)
    found = held(peers, mixed)
    assert found.deviations[0].argmax() == 2
    assert found.deviations[0, 2] > 4.0
    assert found.excess[0, 2] == pytest.approx(0.05)


def test_one_odd_prompt_among_few_says_little(peers: Peers) -> None:
    few = np.array([16, 10, 5, 1, 0], dtype=np.float32)
    assert held(peers, few).deviations[0, 2] < 1.1


def test_the_same_shares_say_more_with_more_prompts(peers: Peers) -> None:
    found = [held(peers, np.array([n, 0.65 * n, 0.3 * n, 0.05 * n, 0])).deviations[0, 2] for n in (20, 40, 100, 256)]
    assert found == sorted(found)


def test_who_asked_nothing_is_nobodys_peer(peers: Peers) -> None:
    silent = Peers(np.concatenate([peers.rows, np.zeros((50, 5), dtype=np.float32)]))
    found = held(silent, np.array([100, 65, 30, 5, 0], dtype=np.float32))
    assert (found.near.row[0] < 30).all()


def test_a_kind_that_varies_makes_less_of_the_same(peers: Peers) -> None:
    found = held(peers, np.array([100, 65, 30, 5, 0], dtype=np.float32), np.array([100, 10, 0, 80, 10]))
    steady, varying = np.zeros(60), np.random.default_rng(3).normal(size=60)
    statistic = np.array([2.0, 2.0])
    calm = standing.above(statistic, steady, found.near, 0.3)
    assert calm == pytest.approx([2.0 / 0.3, 2.0 / 0.3])
    assert (standing.above(statistic, varying, found.near, 0.3) < calm).all()


def test_peers_are_not_held_against_themselves(peers: Peers) -> None:
    found = standing.among_peers(peers)
    assert (found.near.row != np.arange(60)[:, None]).all()
