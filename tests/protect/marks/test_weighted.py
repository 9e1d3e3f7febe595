from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.protect.keys import MarkKey, key_of
from spiritsafe.protect.marks.detect import Found
from spiritsafe.protect.marks.registry import EXAMPLES, mark
from spiritsafe.protect.marks.types import Mark
from spiritsafe.protect.marks.weighted import controlled, counted, judge_weighted, log10_tail

FOUND = Found("a test", "nobody", "nothing", 500, 500)


@pytest.fixture(params=EXAMPLES)
def any_mark(request: pytest.FixtureRequest) -> Mark:
    return mark(request.param)


def test_equal_weights_bound_the_closed_tail_closely(any_mark: Mark) -> None:
    n = 400
    total = n * any_mark.mean + 6 * any_mark.sd * np.sqrt(n)
    total = float(np.round(total)) if any_mark.name != "gumbel-k2" else total
    exact, bound = any_mark.log10_tail(total, n), log10_tail(any_mark, total, np.ones(n))
    assert exact <= bound < exact + 1.6, "Chernoff's bound gives away a factor of some z sqrt(2 pi)"


def test_the_bound_holds_under_the_null_for_weights_of_both_signs(any_mark: Mark) -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=300) * rng.exponential(size=300)
    lanes = rng.integers(0, 2**any_mark.bits, (2000, 300), dtype=np.uint32)
    totals = any_mark.score(lanes) @ weights
    ps = np.array([10 ** log10_tail(any_mark, float(total), weights) for total in totals])
    for level in (0.2, 0.05, 0.01):
        assert (ps <= level).mean() <= level + 4 * np.sqrt(level / 2000)
    assert (ps <= 0.2).mean() > 0.02, "it is conservative, not powerless"


def test_a_total_below_the_mean_is_no_evidence(any_mark: Mark) -> None:
    assert log10_tail(any_mark, any_mark.mean * 10 - 1, np.ones(10)) == 0.0


def test_far_tails_stay_finite(any_mark: Mark) -> None:
    weights = np.ones(20_000)
    found = log10_tail(any_mark, any_mark.mean * 20_000 * 1.4, weights)
    assert -1e5 < found < -100


def test_both_results_come_back_and_zero_weights_do_not_count(any_mark: Mark, key: MarkKey) -> None:
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 1000, (500, any_mark.k + 1), dtype=np.uint32)
    weights = rng.exponential(size=500)
    weights[::2] = 0.0
    whole = judge_weighted(any_mark, key, rows, weights, found=FOUND, decoys=400, seed=1)
    part = judge_weighted(any_mark, key, rows[1::2], weights[1::2], found=FOUND, decoys=400, seed=1)
    assert whole.exact.p_value == part.exact.p_value
    assert whole.decoys.p_value == pytest.approx(part.decoys.p_value)
    assert whole.exact.p_value >= 0.3 * whole.decoys.p_value, "the bound is never far below the rank"


def test_weights_of_nothing_are_no_evidence(key: MarkKey) -> None:
    rows = np.zeros((3, 2), dtype=np.uint32)
    found = judge_weighted(mark("kgw-k1-g0.25-d2"), key, rows, np.zeros(3), found=FOUND, decoys=9, seed=0)
    assert (found.exact.p_value, found.decoys.p_value) == (1.0, 1.0)


def test_the_rank_among_decoys_is_uniform(any_mark: Mark) -> None:
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 300, (120, any_mark.k + 1), dtype=np.uint32)
    weights = rng.exponential(size=120) ** 2
    ps = [
        judge_weighted(
            any_mark, key_of(rng.bytes(32), "any", i), rows, weights, found=FOUND, decoys=39, seed=i
        ).decoys.p_value
        for i in range(200)
    ]
    assert sum(p <= 0.1 for p in ps) <= 37
    assert sum(p <= 0.5 for p in ps) in range(70, 131)


def test_weights_grow_with_counts_and_fall_with_what_is_expected() -> None:
    counts = np.array([1.0, 2.0, 100.0])
    assert (np.diff(counted(counts)) > 0).all()
    np.testing.assert_allclose(controlled(counts, counts, 1.0), 0.0)
    assert (controlled(counts, np.array([9.0, 9.0, 9.0]), 1.0) < np.array([0.0, 0.0, 99.0])).all()


def test_weights_that_are_no_numbers_are_refused(any_mark: Mark) -> None:
    with pytest.raises(ValueError, match="finite"):
        log10_tail(any_mark, 5.0, np.array([1.0, np.nan]))
