from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.stats import Rejections, benjamini_hochberg, bonferroni, calibrate_power, e_bh, holm

Rule = Callable[..., Rejections]
P_RULES: list[Rule] = [benjamini_hochberg, holm, bonferroni]
P_ROWS = st.lists(st.one_of(st.floats(1e-12, 1.0), st.sampled_from([0.01, 0.02, 0.05, 1.0])), max_size=12)
E_ROWS = st.lists(st.one_of(st.floats(-3.0, 6.0), st.sampled_from([-math.inf, 0.0, 2.0, 3.0])), max_size=12)
LEVELS = st.sampled_from([0.01, 0.05, 0.1, 0.3])


def e_bh_by_definition(logs: list[float], q: float) -> set[int]:
    order = sorted(range(len(logs)), key=lambda i: -logs[i])
    enough = [k for k in range(1, len(logs) + 1) if k * 10.0 ** logs[order[k - 1]] >= len(logs) / q]
    return set(order[: max(enough, default=0)])


def bh_by_definition(ps: list[float], q: float) -> set[int]:
    enough = [k for k in range(1, len(ps) + 1) if sorted(ps)[k - 1] <= k * q / len(ps)]
    return {i for i, p in enumerate(ps) if enough and p <= sorted(ps)[max(enough) - 1]}


def holm_by_definition(ps: list[float], alpha: float) -> set[int]:
    order, rejected = sorted(range(len(ps)), key=lambda i: ps[i]), set()
    for step, i in enumerate(order):
        if ps[i] > alpha / (len(ps) - step):
            break
        rejected.add(i)
    return rejected


def away_from_ties(adjusted: np.ndarray, level: float) -> bool:
    """Whether no decision hangs on the last bit, where two ways to round may differ."""
    return bool(np.all(np.abs(adjusted / level - 1.0) > 1e-9))


@given(E_ROWS, LEVELS)
def test_e_bh_agrees_with_its_definition(logs: list[float], q: float) -> None:
    found = e_bh(logs, q)
    if away_from_ties(found.adjusted, q):
        assert set(np.flatnonzero(found.rejected)) == e_bh_by_definition(logs, q)


@given(P_ROWS, LEVELS)
def test_benjamini_hochberg_and_holm_agree_with_their_definitions(ps: list[float], level: float) -> None:
    for rule, definition in ((benjamini_hochberg, bh_by_definition), (holm, holm_by_definition)):
        found = rule(ps, level)
        if away_from_ties(found.adjusted, level):
            assert set(np.flatnonzero(found.rejected)) == definition(ps, level)


def test_values_known_by_hand() -> None:
    ps = [0.01, 0.04, 0.03, 0.005]
    np.testing.assert_allclose(holm(ps, 0.05).adjusted, [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(benjamini_hochberg(ps, 0.05).adjusted, [0.02, 0.04, 0.04, 0.02])
    np.testing.assert_allclose(bonferroni(ps, 0.05).adjusted, [0.04, 0.16, 0.12, 0.02])
    assert holm(ps, 0.05).rejected.tolist() == [True, False, False, True]
    assert benjamini_hochberg(ps, 0.05).rejected.all()
    # m = 4, q = .1: the second largest needs 20, the third 13.3, the fourth 10.
    found = e_bh(np.log10([12.0, 30.0, 5.0, 16.0]), 0.1)
    assert found.rejected.tolist() == [False, False, False, False]
    found = e_bh(np.log10([14.0, 30.0, 5.0, 16.0]), 0.1)
    assert found.rejected.tolist() == [True, True, False, True]
    np.testing.assert_allclose(found.adjusted, [4 / 42, 4 / 42, 4 / 20, 4 / 42])


def test_a_single_hypothesis_is_tested_as_it_is() -> None:
    assert e_bh([2.0], 0.01).rejected.tolist() == [True]
    assert e_bh([1.999], 0.01).rejected.tolist() == [False]
    for rule in P_RULES:
        assert rule([0.05], 0.05).rejected.tolist() == [True]
        assert rule([0.0500001], 0.05).rejected.tolist() == [False]


@pytest.mark.parametrize("rule", [*P_RULES, e_bh])
def test_no_hypotheses_no_rejections(rule: Rule) -> None:
    found = rule([], 0.05)
    assert found.rejected.shape == found.adjusted.shape == (0,)
    assert found.rejected.dtype == np.bool_


@pytest.mark.parametrize("rule", P_RULES)
@given(ps=P_ROWS, level=LEVELS, seed=st.integers(0, 99))
def test_order_does_not_matter_and_equal_inputs_share_their_fate(
    rule: Rule, ps: list[float], level: float, seed: int
) -> None:
    found = rule(ps, level)
    order = np.random.default_rng(seed).permutation(len(ps))
    again = rule(np.array(ps)[order], level)
    np.testing.assert_array_equal(again.adjusted, found.adjusted[order])
    for p in set(ps):
        assert len(set(found.adjusted[np.array(ps) == p])) == 1
    assert np.all((found.adjusted > 0.0) & (found.adjusted <= 1.0))
    assert np.all(found.adjusted >= ps)
    np.testing.assert_array_equal(found.rejected, found.adjusted <= level)


@given(E_ROWS, LEVELS, st.integers(0, 99))
def test_e_bh_does_not_look_at_order_and_equal_inputs_share_their_fate(logs: list[float], q: float, seed: int) -> None:
    found = e_bh(logs, q)
    order = np.random.default_rng(seed).permutation(len(logs))
    np.testing.assert_array_equal(e_bh(np.array(logs)[order], q).adjusted, found.adjusted[order])
    for value in set(logs):
        assert len(set(found.adjusted[np.array(logs) == value])) == 1
    assert np.all((found.adjusted > 0.0) & (found.adjusted <= 1.0))


@given(P_ROWS, LEVELS)
def test_the_rules_nest(ps: list[float], level: float) -> None:
    one, two, three = (set(np.flatnonzero(rule(ps, level).rejected)) for rule in (bonferroni, holm, benjamini_hochberg))
    assert one <= two <= three


@given(E_ROWS, LEVELS)
def test_more_evidence_never_rejects_less(logs: list[float], q: float) -> None:
    before, after = e_bh(logs, q), e_bh([x + 1.0 for x in logs], q)
    assert np.all(after.rejected >= before.rejected)


def test_evidence_beyond_floats() -> None:
    found = e_bh([5000.0, -math.inf, -1e300], 0.01)
    assert found.rejected.tolist() == [True, False, False]
    assert found.adjusted[0] > 0.0
    for rule in P_RULES:
        assert rule([1e-308, 5e-324], 0.05).adjusted.min() > 0.0


@pytest.mark.parametrize("rule", [*P_RULES, e_bh])
@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, math.nan])
def test_the_level_is_checked(rule: Rule, level: float) -> None:
    with pytest.raises(ValueError, match="level lies in"):
        rule([0.5], level)


def test_inputs_are_checked() -> None:
    for rule in P_RULES:
        for bad in ([0.0], [1.1], [math.nan], [[0.5]]):
            with pytest.raises(ValueError, match="p_values"):
                rule(bad, 0.05)
    for bad in ([math.inf], [math.nan], [[0.0]]):
        with pytest.raises(ValueError, match="log10_es"):
            e_bh(bad, 0.05)


def false_share(rejected: np.ndarray, is_null: np.ndarray) -> float:
    return float(np.sum(rejected & is_null) / max(1, np.sum(rejected)))


def draw_p_values(rng: np.random.Generator, common: float) -> tuple[np.ndarray, np.ndarray]:
    """60 one-sided normal p-values, 45 of them null, all equally correlated by ``common``."""
    from scipy.special import ndtr

    is_null = np.arange(60) < 45
    z = math.sqrt(1 - common) * rng.normal(size=60) + math.sqrt(common) * rng.normal()
    return ndtr(-(z + np.where(is_null, 0.0, 4.5))), is_null


@pytest.mark.parametrize("common", [0.0, 0.7])
def test_false_discoveries_stay_below_the_level_and_true_ones_are_made(common: float) -> None:
    rng = np.random.default_rng(11)
    runs, shares, anyone, found = 800, {"e_bh": 0.0, "bh": 0.0}, 0, 0
    for _ in range(runs):
        ps, is_null = draw_p_values(rng, common)
        by_e = e_bh(calibrate_power(np.log10(ps), 0.1), 0.1)
        shares["e_bh"] += false_share(by_e.rejected, is_null) / runs
        shares["bh"] += false_share(benjamini_hochberg(ps, 0.1).rejected, is_null) / runs
        anyone += bool(np.any(holm(ps, 0.1).rejected & is_null))
        found += int(np.sum(by_e.rejected & ~is_null))
    assert shares["e_bh"] <= 0.1
    assert shares["bh"] <= 0.1
    # 3 standard errors above the level.
    assert anyone / runs <= 0.1 + 3 * math.sqrt(0.09 / runs)
    assert found / runs > 5


def test_e_bh_holds_under_dependence_made_to_break_it() -> None:
    # All nulls share one uniform: each e-value has expectation 1, and all are large together.
    rng = np.random.default_rng(13)
    rejected = [
        e_bh(np.full(20, calibrate_power(math.log10(1.0 - rng.random()), 0.1)), 0.1).rejected.any() for _ in range(4000)
    ]
    assert np.mean(rejected) <= 0.1
