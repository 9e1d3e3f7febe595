from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distill.budget import Budget, cost, estimate
from spiritsafe.distill.recipe import Ceiling, Price

PRICE = Price(prompt_per_million=2.0, completion_per_million=8.0, discount=0.5)


def test_a_request_costs_what_its_tokens_cost() -> None:
    assert cost(PRICE, 1_000_000, 500_000) == pytest.approx(6.0)
    assert cost(PRICE, 1_000_000, 500_000, batch=True) == pytest.approx(3.0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 100)), max_size=40), st.integers(1, 2000))
def test_the_ceiling_is_never_crossed_whatever_the_answers_cost(requests: list[tuple[int, int]], most: int) -> None:
    budget = Budget(Ceiling(tokens=most), PRICE)
    for prompt, answer in requests:
        if budget.reserve(prompt, 100) is None:
            budget.settle(prompt, 100, (prompt, answer))
        assert budget.spent.tokens <= most


def test_requests_under_way_count_at_their_worst() -> None:
    budget = Budget(Ceiling(money=0.0011), PRICE)  # room for one answer of 100 tokens to 100, and no second
    assert budget.reserve(100, 100) is None
    assert "ceiling of 0.0011 USD" in (budget.reserve(100, 100) or "")
    budget.settle(100, 100, None)
    assert budget.reserve(100, 100) is None


def test_time_is_a_ceiling_too() -> None:
    now = [0.0]
    budget = Budget(Ceiling(hours=1.0), PRICE, clock=lambda: now[0])
    assert budget.reserve(1, 1) is None
    now[0] = 3601.0
    assert budget.reserve(1, 1) == "the ceiling of 1 hours is reached"
    assert Budget(Ceiling(hours=1.0), PRICE, before=3601.0, clock=lambda: 0.0).late() is not None


def test_what_an_earlier_process_paid_counts() -> None:
    budget = Budget(Ceiling(tokens=100), PRICE)
    budget.count(50, 40)
    assert budget.reserve(5, 6) is not None
    assert budget.reserve(5, 5) is None


def test_without_answers_an_estimate_gives_the_bounds() -> None:
    forecast = estimate([10, 20], [], 100, PRICE)
    assert forecast.tokens[0] == 30
    assert forecast.tokens[2] == 230
    assert forecast.basis.startswith("no answers yet")


def test_the_interval_covers_what_it_will_really_take() -> None:
    import numpy as np

    dice = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        lengths = dice.integers(10, 90, 40)
        rest = dice.integers(10, 90, 300)
        low, _, high = estimate([0] * 300, lengths.tolist(), 100, PRICE, seed=trial).tokens
        covered += low <= rest.sum() <= high
    assert covered >= 180  # 95% of 200 is 190; binomial(200, .95) is below 180 once in 1e4
