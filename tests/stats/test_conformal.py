from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.stats import Conformal, Reference, leave_one_out

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
    name = "equal-local-levels(delta=0.05)"
    assert reference.conditional(0.05).method() == Conformal(reference=reference.digest, n=50, conditional=name)


@given(SCORES)
def test_leave_one_out_is_the_p_value_among_the_others(scores: list[float]) -> None:
    found = leave_one_out(scores)
    for i, p in enumerate(found):
        others = scores[:i] + scores[i + 1 :]
        expected = float(Reference.of(others).p([scores[i]])[0]) if others else 1.0
        assert p == pytest.approx(expected, rel=1e-15)
        # One of n equally likely places, so a p-value of at most j/n is had by at most j members.
        assert sum(q <= p for q in found) <= Fraction(round(p * len(scores)), 1)


def test_empty_inputs() -> None:
    assert leave_one_out([]).shape == (0,)
    assert Reference.of([1.0]).p([]).shape == (0,)
    assert Reference.of([1.0]).p([], seed=1).shape == (0,)
    with pytest.raises(ValueError, match="at least one"):
        Reference.of([])


@pytest.mark.parametrize("bad", [[math.nan], [math.inf], [[1.0]]])
def test_inputs_are_checked(bad: list[float]) -> None:
    reference = Reference.of([1.0, 2.0])
    for use in (Reference.of, reference.p, reference.conditional(0.1).p, leave_one_out):
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

    def pool(rng: np.random.Generator) -> np.ndarray:
        return leave_one_out(scores(rng, 100))[:1]

    exact = 0.04 if kind == "smooth" else 0.0
    assert_size(plain, n=6000, level=0.05, floor=exact)
    assert_size(pool, n=6000, level=0.05, floor=exact)
    assert_size(random_ties, n=6000, level=0.05, floor=0.04)


def test_conditional_p_values_hold_given_the_reference_and_plain_ones_do_not() -> None:
    rng = np.random.default_rng(41)
    runs, n, delta = 2000, 200, 0.1
    # Scores just above each of the reference scores, from the highest down, and what they are given: the same for
    # every reference of this size.
    steps = Reference.of(np.arange(n))
    plain, held = (ps[::-1] for ps in (steps.p(np.arange(n) + 0.5), steps.conditional(delta).p(np.arange(n) + 0.5)))
    bad = {"plain": 0, "conditional": 0}
    for _ in range(runs):
        # Of uniform scores the share 1 - s lies above s: the true false alarm rate of rejecting all scores above s.
        # A p-value reached just above the i-th highest score is reached by all scores above that one.
        rates = 1.0 - np.sort(rng.random(n))[::-1]
        bad["plain"] += bool(np.any(rates > plain))
        bad["conditional"] += bool(np.any(rates > held))
    assert bad["plain"] / runs > 0.9
    assert abs(bad["conditional"] / runs - delta) < 4 * math.sqrt(delta * (1 - delta) / runs)


def test_bets_on_one_unlucky_reference_are_lost_with_conditional_p_values_and_won_with_plain_ones() -> None:
    # One reference drawn so low that ordinary scores look high against it, and 200 ordinary streams of 1,000 scores.
    rng = np.random.default_rng(43)
    unlucky = min((rng.normal(size=300) for _ in range(40)), key=lambda scores: float(np.sort(scores)[-15]))
    reference = Reference.of(unlucky)
    scores = rng.normal(size=200_000)
    crossed = {}
    for name, ps in (("plain", reference.p(scores)), ("conditional", reference.conditional(0.01).p(scores))):
        # A twentieth of the wealth is bet on p <= .05 each time: an e-value if p is valid.
        factors = np.log10(0.95 + 0.05 * (ps <= 0.05) / 0.05).reshape(200, 1000)
        crossed[name] = float(np.mean(np.cumsum(factors, axis=1).max(axis=1) >= 2.0))
    assert crossed["conditional"] <= 0.01
    assert crossed["plain"] > 0.3


def test_conditional_p_values_are_never_smaller_and_keep_the_order() -> None:
    rng = np.random.default_rng(47)
    reference = Reference.of(rng.normal(size=500))
    scores = np.sort(rng.normal(size=200) * 2.0)
    plain, held = reference.p(scores), reference.conditional(0.05).p(scores)
    assert np.all(held >= plain)
    assert np.all(np.diff(held) <= 0.0)
    assert held.max() == 1.0
    assert held.min() > 0.0


def test_power_rises_with_the_reference() -> None:
    rng = np.random.default_rng(53)
    smallest = [float(Reference.of(rng.normal(size=n)).conditional(0.05).p([9.0])[0]) for n in (50, 500, 5000)]
    assert smallest == sorted(smallest, reverse=True)
    assert smallest[-1] < 0.002
