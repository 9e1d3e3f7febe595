from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.stats import LOG10_ZERO, MeanBet, Wealth, calibrate_mixture
from spiritsafe.stats.eprocess import BETS, BOLDEST

UNIT = st.floats(0.0, 1.0)
each_codec = pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack])


@given(st.lists(st.floats(-20.0, 20.0), max_size=30))
def test_wealth_is_the_product_and_its_maximum_never_falls(factors: list[float]) -> None:
    state, totals = Wealth(), [0.0]
    for factor in factors:
        state = state.bet(factor)
        totals.append(totals[-1] + factor)
    assert state.log10 == pytest.approx(totals[-1], abs=1e-9)
    assert state.log10_max == pytest.approx(max(totals), abs=1e-9)
    assert state.n == len(factors)
    assert state.log10_p == pytest.approx(-max(totals), abs=1e-9)
    assert state.log10_p <= 0.0


@each_codec
def test_a_ruined_bettor_stays_ruined_keeps_its_best_p_and_reads_back(codec: Any) -> None:
    state = Wealth().bet(3.0).bet(-math.inf).bet(1000.0)
    assert 10.0**state.log10 == 0.0
    assert state.log10 <= LOG10_ZERO / 2
    assert state.log10_p == -3.0
    assert codec.decode(codec.encode(state), type=Wealth) == state


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_e_value_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="e-value"):
        Wealth().bet(bad)


def test_ville_the_wealth_of_a_calibrated_stream_rarely_ever_crosses() -> None:
    rng = np.random.default_rng(5)
    crossed = 0
    for _ in range(1500):
        state = Wealth()
        for log10_e in calibrate_mixture(np.log10(1.0 - rng.random(100))):
            state = state.bet(float(log10_e))
        crossed += state.log10_p <= -1.0
    assert crossed / 1500 <= 0.1
    assert crossed > 0


@each_codec
@given(xs=st.lists(UNIT, max_size=12), later=st.lists(UNIT, min_size=1, max_size=12))
def test_a_stored_bet_goes_on_where_it_stopped(codec: Any, xs: list[float], later: list[float]) -> None:
    state = MeanBet(0.3).observe(xs)
    restored = codec.decode(codec.encode(state), type=MeanBet)
    assert restored == state
    assert restored.observe(later) == state.observe(later)


@given(st.lists(UNIT, min_size=1, max_size=40), st.data())
def test_many_at_once_is_one_by_one(xs: list[float], data: Any) -> None:
    cut = data.draw(st.integers(0, len(xs)))
    whole = MeanBet(0.4).observe(xs)
    parts = MeanBet(0.4).observe(xs[:cut]).observe(xs[cut:])
    single = MeanBet(0.4)
    for x in xs:
        single = single.observe(x)
    for other in (parts, single):
        np.testing.assert_allclose(other.logs, whole.logs, atol=1e-10)
        assert other.wealth.log10 == pytest.approx(whole.wealth.log10, abs=1e-10)
        assert other.wealth.log10_max == pytest.approx(whole.wealth.log10_max, abs=1e-10)
        assert other.wealth.n == whole.wealth.n


@given(st.integers(1, 6), st.floats(0.05, 0.95))
def test_the_wealth_is_a_martingale_at_the_null_mean(n: int, mean: float) -> None:
    # Every sequence of 0s and 1s, weighted by its chance when the mean is exactly the null's.
    total = 0.0
    for code in range(2**n):
        xs = [(code >> i) & 1 for i in range(n)]
        chance = math.prod(mean if x else 1.0 - mean for x in xs)
        total += chance * 10.0 ** MeanBet(mean).observe(xs).wealth.log10
    assert total == pytest.approx(1.0, abs=1e-9)


@given(st.lists(UNIT, min_size=1, max_size=20))
def test_units_do_not_matter(xs: list[float]) -> None:
    plain = MeanBet(0.25).observe(xs).wealth
    scaled = MeanBet(-1.5, low=-2.0, high=0.0).observe(2.0 * np.array(xs) - 2.0).wealth
    assert scaled.log10 == pytest.approx(plain.log10, abs=1e-9)


def test_the_mixture_trails_its_best_bettor_by_no_more_than_their_number() -> None:
    state = MeanBet(0.5).observe(np.random.default_rng(0).binomial(1, 0.6, 500).astype(float))
    best = max(state.logs)
    assert best - math.log10(BETS) <= state.wealth.log10 <= best


def test_no_bettor_is_ever_ruined_and_a_sure_winner_almost_doubles() -> None:
    lost = MeanBet(0.5).observe(np.zeros(1000))
    assert min(lost.logs) == pytest.approx(1000 * math.log10(1.0 - BOLDEST), rel=1e-9)
    assert all(map(math.isfinite, lost.logs))
    won = MeanBet(0.5).observe(np.ones(1000))
    assert max(won.logs) == pytest.approx(1000 * math.log10(1.0 + BOLDEST), rel=1e-9)


@pytest.mark.parametrize(
    ("shape", "mean"),
    [("coin", 0.5), ("rare", 0.05), ("dull", 0.5), ("falling", 0.5)],
)
def test_ville_the_wealth_of_a_true_null_rarely_ever_crosses(shape: str, mean: float) -> None:
    rng = np.random.default_rng(17)
    crossed = 0
    runs, length = 1000, 400
    for _ in range(runs):
        if shape == "falling":
            xs = rng.binomial(1, np.linspace(0.5, 0.3, length)).astype(float)
        elif shape == "dull":
            xs = rng.beta(50.0, 50.0, length)
        else:
            xs = rng.binomial(1, mean, length).astype(float)
        crossed += MeanBet(mean).observe(xs).wealth.log10_p <= math.log10(0.05)
    # 3 standard errors above .05 would be .071.
    assert crossed / runs <= 0.071


def test_stopping_at_the_best_moment_does_not_help_against_a_true_null() -> None:
    rng = np.random.default_rng(23)
    stopped = []
    for _ in range(600):
        xs = rng.binomial(1, 0.5, 60).astype(float)
        state = MeanBet(0.5)
        for x in xs:
            state = state.observe(x)
            if state.wealth.log10 >= 0.5:
                break
        stopped.append(10.0**state.wealth.log10)
    mean, error = float(np.mean(stopped)), float(np.std(stopped) / math.sqrt(len(stopped)))
    assert mean <= 1.0 + 4 * error


def test_power_rises_with_the_number_of_observations_and_is_near_the_best_possible() -> None:
    rng = np.random.default_rng(29)
    found = {
        n: [MeanBet(0.5).observe(rng.binomial(1, 0.65, n)).wealth.log10 for _ in range(60)] for n in (50, 200, 800)
    }
    medians = [float(np.median(found[n])) for n in (50, 200, 800)]
    assert medians[0] < medians[1] < medians[2]
    # Who knew that the mean is .65 would grow by the relative entropy at each step.
    best = 800 * (0.65 * math.log10(1.3) + 0.35 * math.log10(0.7))
    assert medians[2] >= 0.9 * best - math.log10(BETS)


def test_small_effects_are_found_too() -> None:
    xs = np.random.default_rng(31).binomial(1, 0.52, 40_000).astype(float)
    assert MeanBet(0.5).observe(xs).wealth.log10 > 6.0


@pytest.mark.parametrize("x", [-0.01, 1.01, math.nan])
def test_an_observation_outside_its_bounds_is_refused(x: float) -> None:
    with pytest.raises(ValueError, match="observations lie between"):
        MeanBet(0.5).observe([0.5, x])


@pytest.mark.parametrize(
    ("low", "mean", "high"), [(0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.0, math.nan, 1.0), (-math.inf, 0, 1)]
)
def test_the_null_mean_lies_strictly_between_the_bounds(low: float, mean: float, high: float) -> None:
    with pytest.raises(ValueError, match="low < mean < high"):
        MeanBet(mean, low, high)


def test_a_state_of_the_wrong_length_is_not_read() -> None:
    text = msgspec.json.encode(MeanBet(0.5)).replace(b'"logs":[0.0,', b'"logs":[')
    with pytest.raises(msgspec.ValidationError, match="wealths"):
        msgspec.json.decode(text, type=MeanBet)
