from __future__ import annotations

import numpy as np

from spiritsafe.detect.cores import Cores
from spiritsafe.detect.features import SHARED
from spiritsafe.detect.moments import Moments
from spiritsafe.detect.ring.corpus import Corpus
from spiritsafe.detect.types import LinkTable, Ring

PAYMENT = [name for name, _ in SHARED].index("payment")
EACH = 200


def corpus(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cores of n questions, and what they are about: unit vectors around one centre."""
    rng = np.random.default_rng([seed, 1])
    points = rng.normal(size=256) / 16.0 + 0.15 * rng.normal(size=(n, 256))
    return rng.integers(0, 2**63, n).astype(np.uint64), points / np.linalg.norm(points, axis=1, keepdims=True)


def table(
    asked: list[tuple[tuple[np.ndarray, np.ndarray], np.ndarray]],
    cards: list[int],
    permitted: list[np.ndarray] | None = None,
) -> LinkTable:
    """Account i asked the questions ``asked[i][1]`` of the corpus ``asked[i][0]`` and paid with ``cards[i]``."""
    cores, moments, known, means = Cores(), Moments(), Cores(), []
    for at, ((core, points), picked) in enumerate(asked):
        cores.learn(np.full(len(picked), at), core[picked])
        moments.learn(np.full(len(picked), at), 1.8e9 + np.arange(len(picked)) * 600.0)
        means.append(np.r_[len(picked), points[picked].sum(axis=0)])
    for at, core in enumerate(permitted or []):
        known.learn(np.full(len(core), at), core)
    n = len(asked)
    return LinkTable(
        tuple(f"a{i:03d}" for i in range(n)),
        np.arange(n),
        np.full(n, PAYMENT),
        np.array(cards, dtype=np.uint64) + np.uint64(1),
        moments=moments,
        cores=cores,
        permitted=known,
        means=np.array(means, dtype=np.float32),
    )


def rings(found: LinkTable) -> list[Ring]:
    return Corpus().rings(Corpus().links(found), found)


def honest(seed: int, n: int = 12) -> list[tuple[tuple[np.ndarray, np.ndarray], np.ndarray]]:
    rng = np.random.default_rng([seed, 2])
    return [(corpus(300, 1000 * seed + i), rng.integers(0, 300, EACH)) for i in range(n)]


def test_a_corpus_dealt_out_is_seen_against_those_who_may_ask_it() -> None:
    rng, held = np.random.default_rng(1), corpus(6000, 1)
    dealt = [(held, part) for part in np.array_split(rng.permutation(6000)[: 20 * EACH], 20)]
    licensed = [held[0][rng.integers(0, 6000, 400)] for _ in range(20)]
    (ring,) = rings(table([*dealt, *honest(1)], list(range(32)), licensed))
    assert set(ring.accounts) == set(ring.reasons) == {f"a{i:03d}" for i in range(20)}
    assert ring.basis == "asked"
    together = ring.evidence[0]
    assert (together.family, together.result.name) == ("together", "dealt")
    assert together.result.log10_e > 10.0
    assert {e.family for e in ring.evidence} == {"together", "when", "drawn"}


def test_without_anybody_else_who_asks_it_nothing_can_be_said() -> None:
    rng, held = np.random.default_rng(2), corpus(6000, 2)
    dealt = [(held, part) for part in np.array_split(rng.permutation(6000)[: 20 * EACH], 20)]
    assert rings(table([*dealt, *honest(2)], list(range(32)))) == []


def test_every_question_twice_is_seen_without_anybody_else() -> None:
    rng, held = np.random.default_rng(3), corpus(2000, 3)
    order = np.concatenate([rng.permutation(2000), rng.permutation(2000)])
    dealt = [(held, part) for part in np.array_split(order, 20)]
    (ring,) = rings(table([*dealt, *honest(3)], list(range(32))))
    assert len(ring.accounts) == 20
    drawn = next(e for e in ring.evidence if e.family == "drawn")
    assert drawn.result.log10_e > 5.0


def test_many_customers_of_one_product_are_no_ring() -> None:
    for seed in range(6):
        rng, held = np.random.default_rng([seed, 4]), corpus(6000, 40 + seed)
        same = [(held, rng.integers(0, 6000, EACH)) for _ in range(20)]
        others = [held[0][rng.integers(0, 6000, 400)] for _ in range(20)]
        assert rings(table([*same, *honest(seed)], list(range(32)), others)) == []


def test_keys_of_one_company_may_share_out_its_work() -> None:
    rng, held = np.random.default_rng(5), corpus(6000, 5)
    dealt = [(held, part) for part in np.array_split(rng.permutation(6000)[: 8 * EACH], 8)]
    licensed = [held[0][rng.integers(0, 6000, 400)] for _ in range(20)]
    assert rings(table([*dealt, *honest(5, 40)], [0] * 8 + list(range(1, 41)), licensed)) == []


def test_who_is_only_interested_in_the_same_is_not_accused() -> None:
    rng, held = np.random.default_rng(6), corpus(6000, 6)
    dealt = [(held, part) for part in np.array_split(rng.permutation(6000)[: 20 * EACH], 20)]
    fans = [(held, rng.choice(rng.choice(6000, 60), EACH)) for _ in range(2)]
    licensed = [held[0][rng.integers(0, 6000, 400)] for _ in range(20)]
    (ring,) = rings(table([*dealt, *fans, *honest(6)], list(range(34)), licensed))
    assert not {"a020", "a021"} & set(ring.reasons)
    assert len(ring.reasons) == 20


def test_nothing_asked_is_no_ring() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert rings(LinkTable((), none, none, none.astype(np.uint64))) == []
