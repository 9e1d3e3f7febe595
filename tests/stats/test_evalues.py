from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from spiritsafe.stats import evalues as e

LOG_P = st.floats(-5000.0, 0.0)
LOG_E = st.one_of(st.floats(-50.0, 50.0), st.just(-math.inf))
CALIBRATORS: dict[str, Callable[[float], float]] = {
    "power .1": lambda log10_p: e.calibrate_power(log10_p, 0.1),
    "power .5": e.calibrate_power,
    "power .9": lambda log10_p: e.calibrate_power(log10_p, 0.9),
    "mixture": e.calibrate_mixture,
    "all or nothing": lambda log10_p: e.all_or_nothing(log10_p, 0.05),
}
each_calibrator = pytest.mark.parametrize("calibrate", CALIBRATORS.values(), ids=CALIBRATORS.keys())


def mixture_reference(log10_p: float) -> float:
    """The integral's closed form with 100 digits, from the double's own value."""
    with localcontext() as context:
        context.prec = 100
        ln_p = Decimal(log10_p) * Decimal(10).ln()
        p = ln_p.exp()
        return float(((1 - p + p * ln_p) / (p * ln_p * ln_p)).log10())


@each_calibrator
def test_a_calibrated_uniform_p_value_has_expectation_one(calibrate: Callable[[float], float]) -> None:
    # The integral of f(p) dp over (0, 1], with p = exp(-x); the mixture's tail beyond x is 1/x.
    end = 600.0

    def integrand(x: float) -> float:
        return float(10.0 ** (calibrate(-x / math.log(10.0)) - x / math.log(10.0)))

    pieces = [0.0, -math.log(0.05), 20.0, 100.0, end]
    total = sum(integrate.quad(integrand, a, b, limit=200)[0] for a, b in itertools.pairwise(pieces))
    assert total <= 1.0 + 1e-9
    assert total >= 1.0 - 1.01 / end


@each_calibrator
@given(a=LOG_P, b=LOG_P)
def test_a_smaller_p_value_never_gives_a_smaller_e_value(
    calibrate: Callable[[float], float], a: float, b: float
) -> None:
    assert calibrate(min(a, b)) >= calibrate(max(a, b)) - 1e-12


@given(st.floats(-5000.0, -1e-9))
def test_the_mixture_keeps_its_digits_everywhere(log10_p: float) -> None:
    assert e.calibrate_mixture(log10_p) == pytest.approx(mixture_reference(log10_p), rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("log10_p", [0.0, -5e-324, -1e-300, -1e-12])
def test_the_mixture_at_one_is_a_half(log10_p: float) -> None:
    assert e.calibrate_mixture(log10_p) == pytest.approx(math.log10(0.5), abs=1e-12)


def test_the_mixture_is_the_average_of_the_power_calibrators() -> None:
    value, _ = integrate.quad(lambda kappa: 10 ** e.calibrate_power(-4.0, kappa), 0.0, 1.0)
    assert math.log10(value) == pytest.approx(e.calibrate_mixture(-4.0), abs=1e-10)


def test_values_known_by_hand() -> None:
    assert e.calibrate_power(-4.0) == pytest.approx(math.log10(50.0))
    assert e.calibrate_power(0.0, 0.25) == pytest.approx(math.log10(0.25))
    assert e.all_or_nothing(math.log10(0.05), 0.05) == pytest.approx(math.log10(20.0))
    assert e.all_or_nothing(-1.3, 0.05) == -math.inf
    assert e.e_to_p(2.0) == -2.0
    assert e.e_to_p(-2.0) == e.e_to_p(-math.inf) == 0.0


@each_calibrator
@pytest.mark.parametrize("log10_p", [0.1, -math.inf, math.nan])
def test_what_is_no_p_value_is_refused(calibrate: Callable[[float], float], log10_p: float) -> None:
    with pytest.raises(ValueError, match="p-value lies in"):
        calibrate(log10_p)


@pytest.mark.parametrize("kappa", [0.0, 1.0, -1.0, math.nan])
def test_kappa_and_alpha_lie_between_zero_and_one(kappa: float) -> None:
    with pytest.raises(ValueError, match="kappa"):
        e.calibrate_power(-1.0, kappa)
    with pytest.raises(ValueError, match="alpha"):
        e.all_or_nothing(-1.0, kappa)


def test_arrays_give_arrays_and_numbers_give_numbers() -> None:
    logs = np.array([-3.0, -1.0, 0.0])
    for function in (e.calibrate_power, e.calibrate_mixture, e.e_to_p):
        whole = function(logs)
        assert isinstance(whole, np.ndarray)
        singles = [function(float(x)) for x in logs]
        assert all(type(x) is float for x in singles)
        np.testing.assert_allclose(whole, singles, rtol=1e-14)
    assert e.all_or_nothing(logs, 0.01).tolist() == [2.0, -math.inf, -math.inf]


@given(st.lists(st.floats(-50.0, 50.0), max_size=8))
def test_combinations_agree_with_plain_numbers(logs: list[float]) -> None:
    plain = [10.0**x for x in logs]
    assert e.product(logs) == pytest.approx(math.fsum(logs), abs=1e-9)
    if plain:
        assert e.average(logs) == pytest.approx(math.log10(math.fsum(plain) / len(plain)), abs=1e-9)
    if len(plain) >= 2:
        rest = sorted(plain)[:-1]
        assert e.partial_conjunction(logs) == pytest.approx(math.log10(math.fsum(rest) / len(rest)), abs=1e-9)
    assert e.tempered_product(logs, 4) == pytest.approx(math.fsum(logs) / 4, abs=1e-9)


@given(st.lists(LOG_E, min_size=1, max_size=8), st.integers(1, 9))
def test_asking_for_more_sources_never_finds_more(logs: list[float], r: int) -> None:
    if r < len(logs):
        assert e.partial_conjunction(logs, r + 1) <= e.partial_conjunction(logs, r) + 1e-12
    assert e.partial_conjunction(logs, 1) == pytest.approx(e.average(logs))


@given(st.floats(0.0, 1e6))
def test_one_source_however_strong_is_not_two(strong: float) -> None:
    assert e.partial_conjunction([strong, 0.0, 0.0]) == 0.0
    assert e.partial_conjunction([strong]) == 0.0
    assert e.partial_conjunction([strong, -math.inf]) == -math.inf


def test_nothing_bet_is_nothing_won() -> None:
    assert e.product([]) == e.average([]) == e.partial_conjunction([]) == e.tempered_product([], 3) == 0.0


def test_lost_bets() -> None:
    assert e.product([5.0, -math.inf]) == -math.inf
    assert e.tempered_product([5.0, -math.inf], 2) == -math.inf
    assert e.average([math.log10(6.0), -math.inf, -math.inf]) == pytest.approx(math.log10(2.0))
    assert e.average([-math.inf, -math.inf]) == -math.inf


def test_weights() -> None:
    assert e.average([1.0, 0.0], [0.75, 0.25]) == pytest.approx(math.log10(7.75))
    assert e.average([400.0, 0.0], [0.0, 1.0]) == pytest.approx(0.0)
    assert e.average([-math.inf, 0.0], [0.5, 0.5]) == pytest.approx(math.log10(0.5))
    for weights in ([0.5], [0.5, 0.6], [-0.5, 1.5], [math.nan, 1.0]):
        with pytest.raises(ValueError, match="weights"):
            e.average([1.0, 0.0], weights)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_what_is_no_e_value_is_refused(bad: float) -> None:
    for combine in (e.product, e.average, e.partial_conjunction, e.e_to_p):
        with pytest.raises(ValueError, match="e-value"):
            combine([1.0, bad])  # type: ignore[operator]
    with pytest.raises(ValueError, match="block"):
        e.tempered_product([1.0], 0)
    with pytest.raises(ValueError, match="sources"):
        e.partial_conjunction([1.0], 0)


def two_point(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Log e-values of expectation exactly 1: 1.9 or .1, each with chance 1/2."""
    return np.where(rng.random(size) < 0.5, math.log10(1.9), math.log10(0.1))


def mean_and_error(logs: list[float]) -> tuple[float, float]:
    values = 10.0 ** np.array(logs)
    return float(values.mean()), float(values.std() / math.sqrt(len(values)))


def test_partial_conjunction_keeps_expectation_one_when_all_but_one_null_hold_and_are_dependent() -> None:
    rng = np.random.default_rng(1)
    draws = []
    for shared, own in zip(two_point(rng, (20_000,)), two_point(rng, (20_000,)), strict=True):
        # The first is no null at all; two of the others are one and the same bet.
        draws.append(e.partial_conjunction([9.0, shared, shared, own]))
    mean, error = mean_and_error(draws)
    assert mean <= 1.0 + 4 * error


def test_a_tempered_product_keeps_expectation_one_under_the_worst_dependence_in_blocks() -> None:
    rng = np.random.default_rng(2)
    one_a_block = two_point(rng, (20_000, 3))
    members = np.repeat(one_a_block, 4, axis=1)
    tempered = [e.tempered_product(row, 4) for row in members]
    mean, error = mean_and_error(tempered)
    assert abs(mean - 1.0) <= 4 * error
    # The same members taken for independent would break the bound by far.
    assert mean_and_error([e.product(row) for row in members])[0] > 10.0


def test_power_rises_with_the_number_of_looks() -> None:
    rng = np.random.default_rng(3)
    log10_p = np.log10(rng.random((200, 60)) ** 3)
    growth = np.median(np.cumsum(e.calibrate_mixture(log10_p), axis=1), axis=0)
    assert growth[9] < growth[29] < growth[59]
    assert growth[59] > 6.0
