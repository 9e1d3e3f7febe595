from __future__ import annotations

from random import Random

import numpy as np
import pytest

from spiritsafe.detect.account.capability import Capability
from spiritsafe.detect.account.sorts import model
from spiritsafe.detect.account.sorts_train import draw, load
from spiritsafe.detect.types import UNKNOWN, Peers
from spiritsafe.record.sketch import sketch_texts

NOBODY = np.zeros(0, dtype=np.int64)
KINDS = (("clock", "trip", "kitchen"), ("bank_card", "bank_money"), ("ask_fact", "opinion", "how_to"))


def window(kind: tuple[str, ...], n: int, seed: int, skill: str = "contest", share: float = 0.0) -> np.ndarray:
    """A tenant's window: most prompts of its kind's sorts, a share of a skill."""
    rng, names = np.random.default_rng(seed), list(model().names)
    of = np.zeros(len(names))
    of[[names.index(name) for name in kind]] = rng.dirichlet(np.full(len(kind), 20.0)) * (1 - share)
    of[names.index(skill)] += share
    return np.concatenate([[n], rng.multinomial(n, of)]).astype(np.float32)


@pytest.fixture(scope="module")
def peers() -> Peers:
    return Peers(np.stack([window(kind, 100, seed) for kind in KINDS for seed in range(30)]))


def statistic(peers: Peers, *windows: np.ndarray) -> np.ndarray:
    return Capability().measure(np.stack(windows), peers, [NOBODY] * len(windows)).statistic


def test_a_twentieth_of_mathematics_beside_any_kind_shows(peers: Peers) -> None:
    honest = statistic(peers, *(window(kind, 100, seed) for kind in KINDS for seed in range(100, 140)))
    mixed = statistic(peers, *(window(kind, 100, seed, share=0.05) for kind in KINDS for seed in range(200, 240)))
    assert np.median(mixed) > honest.max()


def test_another_purpose_that_is_no_skill_does_not(peers: Peers) -> None:
    held = Capability().measure(window(KINDS[0], 100, 7, skill="body", share=0.1)[None], peers, [NOBODY])
    assert held.statistic[0] < 2.0


def test_tutors_are_compared_with_tutors(peers: Peers) -> None:
    tutors = [window(KINDS[2], 100, seed, skill="word_problem", share=0.6) for seed in range(30)]
    among = Peers(np.concatenate([peers.rows, np.stack(tutors)]))
    tutor = window(KINDS[2], 100, 99, skill="word_problem", share=0.6)
    alone, known = statistic(peers, tutor)[0], statistic(among, tutor)[0]
    assert alone > 20.0
    assert known < 4.0


def test_the_same_share_says_more_with_more_prompts(peers: Peers) -> None:
    rows = [window(KINDS[1], n, 5, share=0.1) for n in (20, 60, 250)]
    found = statistic(peers, *rows)
    assert list(found) == sorted(found)


def test_kin_are_no_peers_and_too_few_peers_say_nothing(peers: Peers) -> None:
    ring = [window(KINDS[0], 100, seed, share=0.8) for seed in range(25)]
    among = Peers(np.concatenate([peers.rows, np.stack(ring)]))
    kin = np.arange(90, 115)
    mine = window(KINDS[0], 100, 77, share=0.8)[None]
    assert Capability().measure(mine, among, [kin]).statistic[0] > 10.0
    assert Capability().measure(mine, among, [NOBODY]).statistic[0] < 4.0
    few = Capability().measure(mine, Peers(among.rows[:4]), [NOBODY])
    assert few.statistic[0] == UNKNOWN


def test_the_effect_is_the_excess_that_the_words_tell(peers: Peers) -> None:
    held = Capability().measure(window(KINDS[1], 200, 3, share=0.2)[None], peers, [NOBODY])
    assert held.effect[0] == pytest.approx(0.2, abs=0.06)
    assert held.n.tolist() == [200]
    assert "20.0% more" in Capability().words(0.2, 200)


def test_written_prompts_come_out_as_their_sorts() -> None:
    topics, rules = load()
    texts, _ = draw(topics, rules, 4, Random(77))
    rows = Capability().features(sketch_texts(texts, parts=Capability.parts))
    tracker = Capability().tracker()
    tracker.learn(rows)
    assert tracker.window()[0] == len(texts)
    assert tracker.window()[1:].sum() == pytest.approx(len(texts), rel=1e-3)
