from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.detect.ring.amounts import SPREAD, even, log10_even


@pytest.mark.parametrize("n", [5, 60])
def test_customers_with_the_least_honest_spread_are_called_even_as_often_as_promised(n: int) -> None:
    rng = np.random.default_rng(1)
    found = np.array([log10_even(np.exp(rng.normal(5, SPREAD, n))) for _ in range(2000)])
    for level in (0.1, 0.01):
        assert (found <= np.log10(level)).mean() == pytest.approx(level, abs=4 * np.sqrt(level / 2000))


def test_customers_that_differ_more_are_called_so_less_often() -> None:
    rng = np.random.default_rng(2)
    kinds = (
        lambda: np.exp(rng.normal(5, 0.8, 30)),
        lambda: rng.pareto(1.2, 30) * 50 + 20,
        lambda: rng.gamma(1, 90, 30),
    )
    for draw in kinds:
        assert np.mean([log10_even(draw()) <= -1.0 for _ in range(500)]) < 0.06


def test_power_rises_with_how_many_there_are() -> None:
    rng = np.random.default_rng(3)
    quotas = [log10_even(rng.poisson(360 * np.exp(rng.normal(0, 0.3, n))).astype(float)) for n in (5, 20, 60)]
    assert quotas == sorted(quotas, reverse=True)
    assert quotas[-1] < -4.0


def test_two_say_nothing_and_equal_ones_don_t_break_it() -> None:
    assert log10_even(np.array([5.0, 5.0])) == 0.0
    assert log10_even(np.full(40, 7.0)) == -300.0
    assert log10_even(np.zeros(0)) == 0.0


def test_the_evidence_says_how_much() -> None:
    found = even("ring-1", np.full(60, 364.0))
    assert found.family == "when"
    assert "364 times" in found.result.because[0]
    assert even("ring-1", np.zeros(0)).result.log10_e < 0.0
