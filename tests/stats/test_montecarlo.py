from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.stats import MonteCarlo, monte_carlo, p_from_draws, sequential_monte_carlo


def normal(rng: np.random.Generator) -> float:
    return float(rng.normal())


@given(st.floats(-5.0, 5.0), st.lists(st.floats(-5.0, 5.0), max_size=30))
def test_the_p_value_counts_draws_as_high(observed: float, draws: list[float]) -> None:
    p = p_from_draws(observed, draws)
    strictly = (sum(d >= observed for d in draws) + 1) / (len(draws) + 1)
    assert strictly <= p <= 1.0
    if all(abs(d - observed) > 1e-9 for d in draws):
        assert p == strictly


def test_a_sum_in_another_order_is_a_tie() -> None:
    values = [0.1, 0.2, 0.3, 1e-3, 7.7]
    sums = [math.fsum([0.0]) + sum(order) for order in itertools.permutations(values)]
    assert len(set(sums)) > 1
    assert p_from_draws(max(sums), sums) == 1.0


def test_a_p_value_is_never_zero_and_no_draws_prove_nothing() -> None:
    assert p_from_draws(1e9, np.zeros(999)) == 0.001
    assert p_from_draws(1e9, []) == 1.0
    assert monte_carlo(1e9, normal, 99, seed=1)[0] == 0.01
    assert sequential_monte_carlo(1e9, normal, 99, seed=1)[0] == 0.01


def test_the_same_seed_gives_the_same_p_value_and_the_method_says_how() -> None:
    p, method = monte_carlo(1.0, normal, 500, seed=7)
    assert (p, method) == monte_carlo(1.0, normal, 500, seed=7)
    assert method == MonteCarlo(n=500, seed=7)
    assert p != monte_carlo(1.0, normal, 500, seed=8)[0]
    p, method = sequential_monte_carlo(0.0, normal, 10_000, seed=7, stop=30)
    assert (p, method) == sequential_monte_carlo(0.0, normal, 10_000, seed=7, stop=30)
    assert method.stop == 30
    assert method.n < 200
    assert p == 30 / method.n
    p, method = sequential_monte_carlo(9.0, normal, 400, seed=7, stop=30)
    assert method == MonteCarlo(n=400, seed=7, stop=30)
    assert p == 1 / 401


def from_list(values: list[float]) -> Callable[[np.random.Generator], float]:
    source: Iterator[float] = iter(values)
    return lambda rng: next(source)


@pytest.mark.parametrize(("most", "stop"), [(1, 1), (4, 1), (5, 2), (6, 6), (6, 3)])
def test_early_stopping_is_exactly_valid(most: int, stop: int) -> None:
    # Under the null the observed value is equally likely to hold any place among itself and all the draws that could
    # be made, and the draws come in any order: enumerate it all.
    found: dict[float, Fraction] = {}
    weight = Fraction(1, (most + 1) * math.factorial(most))
    for place in range(most + 1):
        for order in itertools.permutations([rank for rank in range(most + 1) if rank != place]):
            p, _ = sequential_monte_carlo(place + 0.5, from_list([r + 0.5 for r in order]), most, 0, stop)
            found[p] = found.get(p, Fraction(0)) + weight
    total = Fraction(0)
    for p in sorted(found):
        total += found[p]
        assert total <= Fraction(p).limit_denominator(1000)


def test_size(assert_size: Callable[..., None]) -> None:
    def fixed(rng: np.random.Generator) -> float:
        return p_from_draws(float(rng.normal()), rng.normal(size=199))

    def sequential(rng: np.random.Generator) -> float:
        return sequential_monte_carlo(float(rng.normal()), normal, 199, int(rng.integers(2**40)), stop=10)[0]

    assert_size(fixed, n=10_000, level=0.05, floor=0.04)
    assert_size(sequential, n=4000, level=0.05, floor=0.035)


def test_power_rises_with_the_number_of_observations() -> None:
    rng = np.random.default_rng(3)

    def p_of(n: int) -> float:
        values = rng.normal(0.4, 1.0, n)
        return monte_carlo(values.mean(), lambda r: float((values * r.choice([-1.0, 1.0], n)).mean()), 199, seed=1)[0]

    medians = [float(np.median([p_of(n) for _ in range(15)])) for n in (5, 20, 80)]
    assert medians == sorted(medians, reverse=True)
    assert medians[-1] == 1 / 200


def test_inputs_are_checked() -> None:
    with pytest.raises(ValueError, match="n counts draws"):
        monte_carlo(0.0, normal, 0, seed=1)
    for most, stop in ((10, 0), (10, 11)):
        with pytest.raises(ValueError, match="stop"):
            sequential_monte_carlo(0.0, normal, most, seed=1, stop=stop)
    with pytest.raises(ValueError, match="NaN"):
        p_from_draws(math.nan, [1.0])
    with pytest.raises(ValueError, match="NaN"):
        sequential_monte_carlo(0.0, lambda rng: math.nan, 20, seed=1)
