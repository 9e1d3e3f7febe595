from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.detect.account.elicitation import Elicitation
from spiritsafe.detect.comparable import Comparable, Dealt
from spiritsafe.detect.judge import FromOwnLog, FromReference, Scored, accused, pooled, together
from spiritsafe.detect.types import Basis, Measured, Ring
from spiritsafe.stats.conformal import Reference
from spiritsafe.stats.result import Exact


def scored(statistic: np.ndarray, calibration: np.ndarray) -> Scored:
    n = np.full(statistic.size, 100, dtype=np.int64)
    return Scored(Elicitation(), Measured(statistic, statistic, n), FromReference(statistic, Reference.of(calibration)))


def ring(members: int, honest_group: int = 5, log10_p: float = 0.0) -> Ring:
    return Ring(
        ring_id="ring-1",
        accounts=tuple(f"a{i}" for i in range(members)),
        kinds=("payment",),
        links=(),
        log10_p=log10_p,
        honest_group=honest_group,
        because=("they share a card",),
    )


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=40))
def test_alone_an_account_is_ranked_among_the_others(values: list[float]) -> None:
    statistic = np.array(values)
    p, n = FromOwnLog(statistic, "x").p(np.arange(len(values)), together=False)
    np.testing.assert_allclose(p, (statistic[None] >= statistic[:, None]).mean(axis=1))
    assert n == len(values) - 1


@given(st.lists(st.floats(-5, 5), min_size=6, max_size=40), st.data())
def test_together_a_ring_is_ranked_among_those_outside_it(values: list[float], data: st.DataObject) -> None:
    statistic = np.array(values)
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, len(values) - 1), min_size=1, max_size=4))))
    p, n = FromOwnLog(statistic, "x").p(rows, together=True)
    outside = np.delete(statistic, rows)
    expected = (1 + (outside[None] >= statistic[rows][:, None]).sum(axis=1)) / (outside.size + 1)
    np.testing.assert_allclose(p, expected)
    assert n == outside.size


def test_the_evidence_of_an_account_says_its_rank() -> None:
    found = scored(np.array([0.95, 0.505]), np.arange(100) / 100).accounts(np.array([0, 1]), ["top", "middle"])
    assert [e.result.subject for e in found] == ["top", "middle"]
    assert found[0].result.p_value == pytest.approx(6 / 101)
    assert found[0].result.log10_e > 0 > found[1].result.log10_e
    assert "5 of 100 reference accounts" in found[0].result.because[1]
    assert found[0].family == "phrased"


def test_nobody_as_extreme_is_said_in_words() -> None:
    found = scored(np.array([2.0]), np.arange(50) / 50).accounts(np.array([0]), ["a"])
    assert found[0].result.because[1] == "none of 50 reference accounts shows as much"


def test_a_ring_of_the_size_of_one_company_is_worth_no_more_than_one_account() -> None:
    each = scored(np.full(40, 2.0), np.arange(500) / 500)
    alone = each.log10_e(np.array([0]))[0]
    company = each.ring(np.arange(5), ring(5)).result.log10_e
    assert company < alone
    several = each.ring(np.arange(40), ring(40)).result.log10_e
    assert several > 5 * alone


def test_evidence_rises_with_the_members_and_falls_with_the_honest_group() -> None:
    each = scored(np.full(60, 2.0), np.arange(500) / 500)
    by_members = [each.ring(np.arange(m), ring(m)).result.log10_e for m in (5, 10, 20, 40, 60)]
    by_group = [each.ring(np.arange(60), ring(60, g)).result.log10_e for g in (1, 5, 10, 60)]
    assert by_members == sorted(by_members)
    assert by_group == sorted(by_group, reverse=True)


def test_rings_of_honest_companies_keep_their_size() -> None:
    # Companies of five whose members are all the same tenant, ten of them in one ring: as dependent as can be.
    rng = np.random.default_rng(8)
    wins = 0
    for _ in range(400):
        calibration = rng.normal(size=200)
        statistic = np.repeat(rng.normal(size=10), 5)
        wins += scored(statistic, calibration).ring(np.arange(50), ring(50)).result.log10_e >= 1.0
    assert wins / 400 <= 0.1


def test_without_regard_to_companies_the_same_rings_would_be_accused() -> None:
    rng = np.random.default_rng(8)
    wins = 0
    for _ in range(200):
        calibration = rng.normal(size=200)
        statistic = np.repeat(rng.normal(size=2), 25)
        wins += scored(statistic, calibration).ring(np.arange(50), ring(50, 1)).result.log10_e >= 3.0
    assert wins / 200 > 0.01


def test_being_linked_counts_against_chance_and_says_what_is_shared() -> None:
    found = together(ring(60, log10_p=-12.0))
    assert found.family == "together"
    assert isinstance(found.result.method, Exact)
    assert 8.0 < found.result.log10_e < 12.0
    assert found.result.because == ("they share a card",)
    assert together(ring(4)).result.log10_e < 0.0
    assert np.isfinite(together(ring(4, log10_p=-5000.0)).result.log10_e)


def test_bystanders_are_not_accused() -> None:
    each = scored(np.array([2.0, 2.0, 0.1, 2.0]), np.arange(300) / 300)
    rows = {"a0": 0, "a1": 1, "a2": 2}
    assert accused(ring(4), [each], rows) == ("a0", "a1")
    assert accused(ring(4), [], rows) == ()
    assert accused(ring(0), [each], rows) == ()


def customers_ring(parties: list[list[int]], basis: Basis) -> Ring:
    return Ring(
        ring_id="ring-1",
        accounts=tuple(f"a{i}" for party in parties for i in party),
        kinds=("rhythm",),
        links=(),
        log10_p=-9.0,
        honest_group=1,
        because=("they keep step",),
        basis=basis,
        customers=tuple(tuple(f"a{i}" for i in party) for party in parties),
    )


def dealt(parties: list[list[int]], accounts: int) -> Dealt:
    """Whom the parties are compared with if all accounts are of one kind and send as much."""
    same = np.zeros(accounts, dtype=np.int64)
    comparable = Comparable.of([f"a{i}" for i in range(accounts)], same, same + 50, np.arange(accounts))
    return comparable.deal([np.array(party) for party in parties])


@pytest.mark.parametrize("size", [1, 6])
def test_customers_chosen_without_a_look_at_what_they_ask_win_no_more_than_promised(size: int) -> None:
    # Accounts of one customer are as dependent as can be: they ask alike.
    rng = np.random.default_rng(1)
    worth = []
    for _ in range(400):
        statistic = np.concatenate([np.repeat(rng.random(8), size), rng.random(200)])
        rows = {f"a{i}": i for i in range(len(statistic))}
        parties = [list(range(at * size, (at + 1) * size)) for at in range(8)]
        whom = dealt(parties, len(statistic))
        worth.append(pooled(own_log(statistic), customers_ring(parties, "when"), rows, whom).result.log10_e)
    assert np.mean(10.0 ** np.array(worth)) < 1.2
    assert np.mean(np.array(worth) >= 1.3) <= 0.05


def test_customers_that_all_rank_high_win_the_more_the_more_there_are_and_pay_for_looks() -> None:
    statistic = np.arange(1000) / 1000
    rows = {f"a{i}": i for i in range(1000)}
    high = [[999 - 3 * i] for i in range(30)]
    found = [
        pooled(own_log(statistic), customers_ring(high[:n], "when"), rows, dealt(high[:n], 1000)) for n in (3, 10, 30)
    ]
    assert [one.result.log10_e for one in found] == sorted(one.result.log10_e for one in found)
    assert found[-1].result.log10_e > 10.0
    assert "30 of its customers were compared" in found[-1].result.because[1]
    often = pooled(own_log(statistic), customers_ring(high, "when"), rows, dealt(high, 1000), looks=10)
    assert often.result.log10_e == pytest.approx(found[-1].result.log10_e - 1.0)


def test_members_found_by_what_they_ask_win_no_more_than_one_of_them_can() -> None:
    statistic = np.arange(1000) / 1000
    rows = {f"a{i}": i for i in range(1000)}
    ring = customers_ring([[999 - i] for i in range(30)], "asked")
    assert pooled(own_log(statistic), ring, rows, None).result.log10_e <= np.log10(1000)


def own_log(statistic: np.ndarray) -> Scored:
    n = np.full(statistic.size, 100, dtype=np.int64)
    return Scored(Elicitation(), Measured(statistic, statistic, n), FromOwnLog(statistic, "x"))
