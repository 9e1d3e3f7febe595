from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spiritsafe.stats import Exact, signed_rank
from spiritsafe.stats.signed_rank import EXACT_UP_TO


def by_enumeration(differences: list[float]) -> tuple[float, float]:
    """The statistic and log10 of its p-value over all assignments of signs."""
    values = [d for d in differences if d != 0.0]
    ranks = stats.rankdata(np.abs(values)) if values else np.array([])
    observed = sum(r for r, d in zip(ranks, values, strict=True) if d > 0)
    sums = [sum(chosen) for chosen in itertools.product(*((0.0, r) for r in ranks))]
    return observed, math.log10(sum(s >= observed for s in sums) / len(sums))


@settings(max_examples=80)
@given(st.lists(st.one_of(st.integers(-4, 4).map(float), st.floats(-9.0, 9.0)), max_size=9))
def test_agrees_with_enumeration_also_with_ties_and_zeros(differences: list[float]) -> None:
    statistic, log10_p = by_enumeration(differences)
    found = signed_rank(differences)
    assert found.statistic == statistic
    assert found.log10_p == pytest.approx(log10_p, abs=1e-12)
    assert found.n == sum(d != 0.0 for d in differences)


def test_agrees_with_scipy_where_scipy_is_exact() -> None:
    differences = np.random.default_rng(4).normal(0.3, 1.0, 45)
    peer = stats.wilcoxon(differences, alternative="greater", method="exact")
    found = signed_rank(differences)
    assert found.statistic == peer.statistic
    assert 10.0**found.log10_p == pytest.approx(peer.pvalue, rel=1e-10)


@pytest.mark.parametrize("n", [1, 10, 100, 500])
def test_all_positive_is_as_rare_as_n_heads(n: int) -> None:
    found = signed_rank(np.arange(1.0, n + 1.0))
    assert found.log10_p == pytest.approx(-n * math.log10(2.0), rel=1e-12)
    assert found.effect == 1.0
    assert found.method == Exact("signed rank")
    lost = signed_rank(-np.arange(1.0, n + 1.0))
    assert lost.log10_p == 0.0
    assert lost.effect == -1.0


def test_no_difference_proves_nothing() -> None:
    for nothing in ([], [0.0, 0.0, -0.0]):
        found = signed_rank(nothing)
        assert (found.log10_p, found.n, found.effect, found.statistic) == (0.0, 0, 0.0, 0.0)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("lean", [0.0, 0.12, 0.25])
def test_the_normal_form_agrees_with_the_exact_one_and_is_never_too_small_far_out(ties: bool, lean: float) -> None:
    values = np.random.default_rng(6).normal(lean, 1.0, 480)
    values = np.round(values * 2.0) / 2.0 if ties else values
    exact, normal = signed_rank(values), signed_rank(values, exact_up_to=0)
    assert normal.method == Exact("signed rank, normal approximation")
    assert normal.statistic == exact.statistic
    assert normal.effect == exact.effect
    if exact.log10_p > -2.5:
        assert 10.0 ** (normal.log10_p - exact.log10_p) == pytest.approx(1.0, abs=0.02)
    else:
        assert exact.log10_p <= normal.log10_p <= 0.9 * exact.log10_p


def test_many_pairs_take_the_normal_form_and_stay_finite_far_out() -> None:
    found = signed_rank(np.arange(1.0, 20_001.0))
    assert found.n > EXACT_UP_TO
    assert found.method == Exact("signed rank, normal approximation")
    assert -math.inf < found.log10_p < -1000.0


@given(st.lists(st.floats(-5.0, 5.0), max_size=25), st.floats(0.01, 100.0))
def test_only_order_and_sign_count(differences: list[float], scale: float) -> None:
    scaled = [d * scale for d in differences]
    kept = len({abs(d) for d in differences}) == len({abs(d) for d in scaled})
    if kept and all((a == 0.0) == (b == 0.0) for a, b in zip(differences, scaled, strict=True)):
        assert signed_rank(scaled) == signed_rank(differences)
    both = signed_rank(differences).statistic + signed_rank([-d for d in differences]).statistic
    n = signed_rank(differences).n
    assert both == n * (n + 1) / 2


@pytest.mark.parametrize("bad", [[math.nan], [math.inf], [[1.0]]])
def test_inputs_are_checked(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="differences"):
        signed_rank(bad)


@pytest.mark.parametrize("exact_up_to", [EXACT_UP_TO, 0])
@pytest.mark.parametrize("kind", ["cauchy", "tied"])
def test_size(assert_size: Callable[..., None], kind: str, exact_up_to: int) -> None:
    def null(rng: np.random.Generator) -> float:
        values = rng.standard_cauchy(40) if kind == "cauchy" else rng.integers(-3, 4, 40).astype(float)
        return float(10.0 ** signed_rank(values, exact_up_to).log10_p)

    assert_size(null, n=3000, level=0.05, floor=0.035)
    assert_size(null, n=3000, level=0.01, ceiling=0.025, floor=0.005)


def test_power_rises_with_the_number_of_pairs() -> None:
    rng = np.random.default_rng(8)
    medians = [
        np.median([signed_rank(rng.normal(0.3, 1.0, n)).log10_p for _ in range(25)]) for n in (20, 80, 320, 1280)
    ]
    assert medians == sorted(medians, reverse=True)
    assert medians[-1] < -15.0
