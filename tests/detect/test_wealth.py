from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.detect.wealth import DELTA, log10_allowance, log10_wealth
from spiritsafe.stats.conformal import Reference
from spiritsafe.stats.evalues import average
from spiritsafe.stats.multiple import e_bh


def test_among_none_there_is_nothing_to_pay_for() -> None:
    assert log10_allowance(0) == 0.0
    assert log10_wealth(np.array([1.0]), 0).tolist() == [0.0]


@given(st.integers(1, 5000))
def test_the_mean_over_all_ranks_is_one(n: int) -> None:
    ranks = np.arange(1, n + 2) / (n + 1)
    assert np.mean(10.0 ** log10_wealth(ranks, n)) == pytest.approx(1.0, rel=1e-9)


@given(st.integers(1, 3000), st.data())
def test_a_smaller_p_value_wins_more(n: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, n))
    wins = log10_wealth(np.array([rank, rank + 1]) / (n + 1), n)
    assert wins[0] > wins[1]


def test_no_bet_wins_more_than_the_reference_has_accounts() -> None:
    for n in (1, 10, 1000):
        assert log10_wealth(np.array([1 / (n + 1)]), n)[0] <= np.log10(n + 1)


@pytest.mark.parametrize("n", [10, 60, 400])
def test_given_the_reference_a_bet_is_within_its_allowance_but_for_one_in_a_hundred(n: int) -> None:
    rng = np.random.default_rng(5)
    bets = 10.0 ** log10_wealth(np.arange(1, n + 2) / (n + 1), n)
    gaps = rng.exponential(size=(20_000, n + 1))
    expected = (gaps @ bets) / gaps.sum(axis=1)
    beyond = np.mean(expected > 10.0 ** log10_allowance(n))
    assert beyond <= DELTA


def test_a_product_of_bets_on_one_reference_needs_the_allowance() -> None:
    # Forty accounts against one reference: without the allowance, the mean wealth given a low reference explodes.
    rng = np.random.default_rng(3)
    n, members = 50, 40
    bets = 10.0 ** log10_wealth(np.arange(1, n + 2) / (n + 1), n)
    gaps = rng.exponential(size=(2000, n + 1))
    expected = (gaps @ bets) / gaps.sum(axis=1)
    naive, paid = expected**members, (expected / 10.0 ** log10_allowance(n)) ** members
    assert np.quantile(naive, 0.95) > 10.0
    assert np.quantile(paid, 0.99) <= 1.0


def test_the_allowance_never_grows_with_a_larger_reference_from_thirty_on() -> None:
    found = [log10_allowance(n) for n in (30, 60, 100, 500, 1000, 4321, 20_000)]
    assert found == sorted(found, reverse=True)
    assert 0.0 < found[-1] < found[0] < 0.4


def copies(rng: np.random.Generator, n: int, detectors: int, company: int) -> np.ndarray:
    """Scores of accounts that copy one another in companies, detectors alike, heavy in the tail."""
    own, common = (rng.standard_t(4, (n // company + 1, width)) for width in (detectors, 1))
    return np.asarray((own + common).repeat(company, axis=0)[:n])


def mean_wealth(scores: np.ndarray, known: np.ndarray) -> np.ndarray:
    each = [log10_wealth(Reference.of(known[:, d]).p(scores[:, d]), len(known)) for d in range(known.shape[1])]
    return np.array([average(row) for row in np.stack(each, axis=1)])


@pytest.mark.parametrize("alpha", [0.1, 0.01])
def test_over_references_honest_accounts_cross_1_over_alpha_as_rarely_as_promised(alpha: float) -> None:
    """``benchmarks/honest.py`` does the same at full size, also with the watch itself over 60 days."""
    rng = np.random.default_rng(11)
    shares = [
        (mean_wealth(copies(rng, 300, 3, 3), copies(rng, 400, 3, 3)) >= -np.log10(alpha)).mean() for _ in range(60)
    ]
    assert np.mean(shares) - 2.0 * np.std(shares) / 60**0.5 <= alpha


def test_false_discoveries_keep_under_q_where_everything_depends_on_one_reference() -> None:
    rng, false, found = np.random.default_rng(12), [], []
    for _ in range(40):
        known, scores = copies(rng, 6000, 2, 3), copies(rng, 300, 2, 5)
        scores[:100] += rng.uniform(5.0, 60.0, (100, 1))
        rejected = e_bh(mean_wealth(scores, known), 0.05).rejected
        false.append(rejected[100:].sum() / max(rejected.sum(), 1))
        found.append(rejected[:100].mean())
    assert np.mean(false) - 2.0 * np.std(false) / 40**0.5 <= 0.05
    assert np.mean(found) > 0.3
