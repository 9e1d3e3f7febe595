from __future__ import annotations

from collections import Counter, defaultdict

from spiritsafe.drill.crowd import FEWEST, HOURS, MOST, SORT, START, TEAM, crowd
from spiritsafe.drill.scenario import FULL, QUICK
from spiritsafe.drill.tenants import KINDS


def test_the_kinds_stand_in_the_shares_of_the_drill_but_no_narrow_sort_is_rare() -> None:
    few = Counter({"person": 3, "evaluation": 1})
    large = {exchange.account_id for exchange in crowd(1, few, 1000)}
    assert len(large) == 1000
    small = {exchange.account_id for exchange in crowd(1, few, 8)}
    assert len(small) == SORT * (1 + KINDS["evaluation"].sorts)


def test_every_account_asks_a_few_dozen_questions_in_order_and_shares_at_most_with_its_team() -> None:
    asked: dict[str, list[float]] = defaultdict(list)
    payments: dict[str, set[str]] = defaultdict(set)
    places: dict[str, set[str]] = defaultdict(set)
    for exchange in crowd(2, {"coder": 1, "student": 1}, 66):
        asked[exchange.account_id].append((exchange.time - START).total_seconds())
        payments[str(exchange.payment)].add(exchange.account_id)
        places[str(exchange.ip_prefix)].add(exchange.account_id)
    for times in asked.values():
        assert FEWEST <= len(times) <= MOST
        assert times == sorted(times)
        assert 0 <= times[0] <= times[-1] <= HOURS * 3600
    for groups in (payments, places):
        assert 1 < max(map(len, groups.values())) <= TEAM


def test_the_drill_outlasts_no_period_of_the_crowd() -> None:
    assert 2 * max(QUICK.deadline, FULL.deadline) < HOURS * 3600


def test_the_same_seed_is_the_same_crowd() -> None:
    first, again, other = (list(crowd(seed, {"agent": 1}, 10)) for seed in (4, 4, 5))
    assert first == again
    assert first != other
