from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.stats import binomial_lower, binomial_two_sided, binomial_upper, clopper_pearson, wilson

Interval = Callable[..., tuple[float, float]]
both = pytest.mark.parametrize("interval", [clopper_pearson, wilson])
COUNTS = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS, st.sampled_from([0.5, 0.95, 0.999]))
def test_clopper_pearson_ends_where_the_exact_tails_reach_the_level(counts: tuple[int, int], confidence: float) -> None:
    k, n = counts
    low, high = clopper_pearson(k, n, confidence)
    level = math.log10((1.0 - confidence) / 2.0)
    if k > 0:
        assert binomial_upper(k, n, low) == pytest.approx(level, abs=1e-9)
    if k < n:
        assert binomial_lower(k, n, high) == pytest.approx(level, abs=1e-9)


@given(COUNTS, st.floats(0.01, 0.99))
def test_clopper_pearson_leaves_out_exactly_what_the_two_sided_test_rejects(counts: tuple[int, int], p: float) -> None:
    k, n = counts
    low, high = clopper_pearson(k, n, 0.95)
    log10_p = binomial_two_sided(k, n, p)
    if abs(log10_p - math.log10(0.05)) > 1e-9:
        assert (low <= p <= high) == (log10_p > math.log10(0.05))


def test_values_known_by_hand() -> None:
    assert clopper_pearson(0, 10) == pytest.approx((0.0, 1.0 - 0.025**0.1))
    assert clopper_pearson(10, 10) == pytest.approx((0.025**0.1, 1.0))
    assert wilson(5, 10) == pytest.approx((0.236593, 0.763407), abs=1e-6)
    assert clopper_pearson(0, 0) == wilson(0, 0) == (0.0, 1.0)


@both
@given(counts=COUNTS)
def test_an_interval_holds_the_share_mirrors_and_widens_with_confidence(
    interval: Interval, counts: tuple[int, int]
) -> None:
    k, n = counts
    low, high = interval(k, n, 0.95)
    assert 0.0 <= low <= k / n <= high <= 1.0
    mirrored = interval(n - k, n, 0.95)
    assert mirrored == pytest.approx((1.0 - high, 1.0 - low), abs=1e-9)
    wide = interval(k, n, 0.99)
    assert wide[0] <= low
    assert high <= wide[1]


def coverage(interval: Interval, n: int, p: float) -> float:
    ks = np.arange(n + 1)
    masses = np.diff(10.0 ** binomial_lower(ks, n, p), prepend=0.0)
    return float(sum(mass for k, mass in zip(ks, masses, strict=True) if _holds(interval(int(k), n), p)))


def _holds(interval: tuple[float, float], p: float) -> bool:
    return interval[0] <= p <= interval[1]


def test_clopper_pearson_covers_every_truth_and_wilson_covers_on_average() -> None:
    truths = np.linspace(0.005, 0.995, 67)
    exact = [coverage(clopper_pearson, 40, float(p)) for p in truths]
    score = [coverage(wilson, 40, float(p)) for p in truths]
    assert min(exact) >= 0.95
    assert np.mean(score) == pytest.approx(0.95, abs=0.01)
    assert min(score) < 0.95


@both
@pytest.mark.parametrize(
    ("k", "n", "confidence"), [(-1, 5, 0.9), (6, 5, 0.9), (1, 5, 0.0), (1, 5, 1.0), (1, 5, math.nan)]
)
def test_inputs_are_checked(interval: Interval, k: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"successes|confidence"):
        interval(k, n, confidence)
