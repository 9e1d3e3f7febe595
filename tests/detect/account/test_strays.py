from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.detect.account.sorts import model
from spiritsafe.detect.account.strays import Strays
from spiritsafe.detect.types import UNKNOWN, Peers

NOBODY = np.zeros(0, dtype=np.int64)
SORTS = len(model().names)


def window(rng: np.random.Generator, kind: int, n: int, strays: float = 0.0, where: int = -1) -> np.ndarray:
    of = np.zeros(SORTS)
    of[kind : kind + 5] = rng.dirichlet(np.full(5, 20.0)) * (1 - strays)
    of[where] += strays
    return np.concatenate([[n], rng.multinomial(n, of)]).astype(np.float32)


@pytest.fixture(scope="module")
def peers() -> Peers:
    rng = np.random.default_rng(0)
    return Peers(np.stack([window(rng, kind, 100) for kind in (0, 12, 24) for _ in range(30)]))


def statistic(peers: Peers, *windows: np.ndarray) -> np.ndarray:
    return Strays().measure(np.stack(windows), peers, [NOBODY] * len(windows)).statistic


def test_a_tenth_of_anything_else_shows(peers: Peers) -> None:
    rng = np.random.default_rng(1)
    honest = statistic(peers, *(window(rng, kind, 100) for kind in (0, 12, 24) for _ in range(40)))
    mixed = statistic(peers, *(window(rng, kind, 100, 0.1, 40) for kind in (0, 12, 24) for _ in range(40)))
    assert np.median(mixed) > honest.max()


def test_a_kind_that_asks_for_it_is_no_stray(peers: Peers) -> None:
    rng = np.random.default_rng(2)
    both = Peers(np.concatenate([peers.rows, np.stack([window(rng, 0, 100, 0.3, 40) for _ in range(30)])]))
    mine = window(rng, 0, 100, 0.3, 40)
    assert statistic(peers, mine)[0] > 10.0
    assert statistic(both, mine)[0] < 4.0


def test_more_prompts_say_more(peers: Peers) -> None:
    rng = np.random.default_rng(3)
    found = [np.mean(statistic(peers, *(window(rng, 12, n, 0.1, 40) for _ in range(20)))) for n in (20, 60, 250)]
    assert found == sorted(found)


def test_too_few_peers_say_nothing(peers: Peers) -> None:
    mine = window(np.random.default_rng(4), 0, 100)
    assert statistic(Peers(peers.rows[:4]), mine)[0] == UNKNOWN
    assert statistic(Peers(peers.rows[:0]), mine)[0] == UNKNOWN


def test_the_effect_is_the_share_beyond_the_kind(peers: Peers) -> None:
    rng = np.random.default_rng(5)
    held = Strays().measure(window(rng, 0, 256, 0.25, 40)[None], peers, [NOBODY])
    assert held.effect[0] == pytest.approx(0.25, abs=0.1)
    assert "25% of its 256" in Strays().words(0.25, 256)


def test_the_size_holds_among_exchangeable_accounts() -> None:
    rng = np.random.default_rng(6)

    def draw(n: int) -> np.ndarray:
        return np.stack([window(rng, int(rng.choice([0, 12, 24])), int(rng.integers(16, 200))) for _ in range(n)])

    hits = 0
    for _ in range(8):
        among = Peers(draw(60))
        calibration, fresh = (statistic(among, *draw(100)) for _ in range(2))
        hits += int(((1 + (calibration[None] >= fresh[:, None]).sum(axis=1)) / 101 <= 0.05).sum())
    assert hits / 800 < 0.09
