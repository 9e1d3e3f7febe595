from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.stats import Conformal, Reference
from spiritsafe.stats.conformal import as_high

SCORES = st.lists(st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6)), min_size=1, max_size=30)


@given(SCORES, SCORES)
def test_a_p_value_is_a_rank(reference: list[float], scores: list[float]) -> None:
    found = Reference.of(reference).p(scores)
    n = len(reference)
    for score, p in zip(scores, found, strict=True):
        assert p == pytest.approx((1 + sum(r >= score for r in reference)) / (n + 1), rel=1e-15)


@given(SCORES, SCORES, st.integers(0, 2**32))
def test_random_ties_lie_between_no_tie_and_all_ties_and_repeat_with_their_seed(
    reference: list[float], scores: list[float], seed: int
) -> None:
    ref = Reference.of(reference)
    found, n = ref.p(scores, seed=seed), len(reference)
    np.testing.assert_array_equal(found, ref.p(scores, seed=seed))
    for score, p, plain in zip(scores, found, ref.p(scores), strict=True):
        assert sum(r > score for r in reference) / (n + 1) < p <= plain + 1e-15


@given(SCORES, st.randoms(use_true_random=False))
def test_the_digest_names_the_scores_whatever_their_order(scores: list[float], random: object) -> None:
    shuffled = list(np.random.default_rng(0).permutation(scores))
    reference = Reference.of(scores)
    assert Reference.of(shuffled).digest == reference.digest
    assert Reference.of([*scores, 7.5]).digest != reference.digest
    assert Reference.of([-0.0, 1.0]).digest == Reference.of([0.0, 1.0]).digest
    assert reference.digest.startswith("blake2b-128:")


def test_a_reference_can_not_be_changed() -> None:
    source = np.array([3.0, 1.0])
    reference = Reference.of(source)
    source[0] = 99.0
    assert reference.scores.tolist() == [1.0, 3.0]
    with pytest.raises(ValueError, match="read-only"):
        reference.scores[0] = 5.0


def test_the_method_says_how_the_p_value_came_about() -> None:
    reference = Reference.of(np.arange(50.0))
    assert reference.method() == Conformal(reference=reference.digest, n=50)
    assert reference.method(seed=4) == Conformal(reference=reference.digest, n=50, seed=4)


@given(SCORES, SCORES)
def test_as_high_counts_those_that_are_no_lower(ordered: list[float], values: list[float]) -> None:
    found = as_high(np.sort(ordered), np.array(values))
    assert found.tolist() == [sum(score >= value for score in ordered) for value in values]


def test_empty_inputs() -> None:
    assert Reference.of([1.0]).p([]).shape == (0,)
    assert Reference.of([1.0]).p([], seed=1).shape == (0,)
    with pytest.raises(ValueError, match="at least one"):
        Reference.of([])


@pytest.mark.parametrize("bad", [[math.nan], [math.inf], [[1.0]]])
def test_inputs_are_checked(bad: list[float]) -> None:
    reference = Reference.of([1.0, 2.0])
    for use in (Reference.of, reference.p):
        with pytest.raises(ValueError, match="finite"):
            use(bad)


@pytest.mark.parametrize("kind", ["smooth", "tied"])
def test_size_over_references(assert_size: Callable[..., None], kind: str) -> None:
    def scores(rng: np.random.Generator, size: int) -> np.ndarray:
        return rng.normal(size=size) if kind == "smooth" else rng.poisson(2.0, size).astype(float)

    def plain(rng: np.random.Generator) -> float:
        return float(Reference.of(scores(rng, 99)).p(scores(rng, 1))[0])

    def random_ties(rng: np.random.Generator) -> float:
        return float(Reference.of(scores(rng, 99)).p(scores(rng, 1), seed=int(rng.integers(2**40)))[0])

    exact = 0.04 if kind == "smooth" else 0.0
    assert_size(plain, n=6000, level=0.05, floor=exact)
    assert_size(random_ties, n=6000, level=0.05, floor=0.04)
