from __future__ import annotations

import math

import numpy as np
import pytest

from spiritsafe.detect.cores import Cores, Sample
from spiritsafe.detect.ring.dealt import Askers, Dealt, dealt


def sample(asked: list[np.ndarray]) -> Sample:
    """What account i asked, by number of the question."""
    cores = Cores()
    mixed = [np.asarray(each, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) for each in asked]
    owner = np.repeat(np.arange(len(asked)), [len(each) for each in mixed])
    cores.learn(owner, np.concatenate([*mixed, np.zeros(0, dtype=np.uint64)]))
    return cores.sample()


def outsiders(seed: int, corpus: int = 4000, n: int = 40, each: int = 150) -> Sample:
    rng = np.random.default_rng([seed, 1])
    return sample([rng.integers(0, corpus, each) for _ in range(n)])


def against(inside: Sample, customer: np.ndarray, outside: Sample) -> Dealt | None:
    first, accounts = (int(each.account.max(initial=-1)) + 1 for each in (inside, outside))
    everyone = Askers.of([(inside, first), (outside, accounts)])
    return dealt(everyone, np.arange(first), customer, np.arange(first + accounts) >= first)


def test(asked: list[np.ndarray], outside: Sample) -> Dealt | None:
    inside = sample(asked)
    return against(inside, np.arange(len(asked)), outside)


test.__test__ = False  # type: ignore[attr-defined]


def independent(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng([seed, 2])
    return [rng.integers(0, 4000, 120) for _ in range(20)]


def popular(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng([seed, 3])
    chances = 1.0 / np.arange(1, 4001) ** 0.7
    return [rng.choice(4000, 120, p=chances / chances.sum()) for _ in range(20)]


def specialists(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng([seed, 4])
    return [first + rng.integers(0, 120, 120) for first in rng.integers(0, 3880, 20)]


def once_through(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng([seed, 5])
    return [rng.choice(4000, 120, replace=False) for _ in range(20)]


def whole_benchmarks(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng([seed, 6])
    return [rng.permutation(400) for _ in range(6)]


@pytest.mark.parametrize("honest", [independent, popular, specialists, once_through, whole_benchmarks])
def test_who_asks_for_itself_is_found_no_more_often_than_promised(honest) -> None:  # type: ignore[no-untyped-def]
    found = [test(honest(seed), outsiders(seed)) for seed in range(120)]
    low = np.array([d.log10_p for d in found if d is not None])
    assert len(low) == 120
    for level in (0.1, 0.01):
        assert (low <= math.log10(level)).mean() <= level + 3.0 * math.sqrt(level / 120)


@pytest.mark.parametrize(("part", "least"), [(0.3, -3.0), (0.6, -20.0)])
def test_work_that_was_dealt_out_is_found_the_more_of_it_the_surer(part: float, least: float) -> None:
    rng = np.random.default_rng(7)
    order = rng.permutation(4000)[: int(4000 * part)]
    found = test(np.array_split(order, 20), outsiders(7))
    assert found is not None
    assert found.log10_p < least
    assert found.distinct > found.expected


def test_it_needs_no_knowledge_of_how_large_the_corpus_is() -> None:
    rng = np.random.default_rng(8)
    order = rng.permutation(4000)[:2400]
    # Half of the corpus is known to nobody else.
    known = sample([rng.integers(0, 2000, 150) for _ in range(40)])
    found = test(np.array_split(order, 20), known)
    assert found is not None
    assert found.log10_p < -10.0
    assert found.urn <= 2000


def test_keys_of_one_customer_may_share_out_its_work() -> None:
    rng = np.random.default_rng(9)
    inside = sample(np.array_split(rng.permutation(4000)[:2400], 20))
    found = against(inside, np.zeros(20, dtype=np.int64), outsiders(9))
    assert found is not None
    assert found.log10_p > -0.5


def test_where_nobody_else_asks_so_nothing_can_be_said() -> None:
    far = sample([np.arange(10_000, 10_100)])
    assert test(np.array_split(np.arange(2000), 10), far) is None
    assert test([np.zeros(0)], far) is None


def test_asking_twice_is_no_dealing_out() -> None:
    # Each asks a part of its own, but again and again: an assistant for one product each.
    rng = np.random.default_rng(11)
    found = test([rng.choice(part, 200) for part in np.array_split(rng.permutation(4000), 20)], outsiders(11))
    assert found is not None
    assert found.log10_p > -1.0


def test_who_asked_what_is_numbered_over_several_samples() -> None:
    one, other = sample([np.array([3, 1]), np.array([5])]), sample([np.array([1, 7])])
    everyone = Askers.of([(one, 2), (other, 1)])
    assert everyone.accounts == 3
    assert everyone.account.tolist() == [0, 0, 1, 2, 2]
    assert everyone.cores[everyone.question].tolist() == [*one.core.tolist(), *other.core.tolist()]
    rows = everyone.asked(everyone.question[:2])
    assert everyone.share(rows).tolist() == [1.0, 0.0, 0.5]
