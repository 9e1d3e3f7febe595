"""What the tests of this room share: how the size of a test is measured, and exact references."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import betainccinv, betaincinv

AssertSize = Callable[..., None]


@pytest.fixture(scope="session")
def assert_size() -> AssertSize:
    """Measures how often a p-value is at most ``level`` under its null, and says whether that is ``level``.

    ``draw`` maps a generator to one p-value, or to a row of them. Fails if the Clopper-Pearson interval (99.99%)
    for the rate lies above ``level`` (the test is invalid), or its upper end is above ``ceiling`` (too few draws to
    tell; by default 1.5 times the level), or the rate itself is under ``floor`` (the test wastes its level).
    """

    def check(
        draw: Callable[[np.random.Generator], npt.ArrayLike],
        *,
        n: int,
        level: float,
        ceiling: float | None = None,
        floor: float = 0.0,
        seed: int = 20261122,
    ) -> None:
        rng = np.random.default_rng(seed)
        drawn: list[float] = []
        while len(drawn) < n:
            drawn.extend(np.atleast_1d(draw(rng)))
        ps = np.array(drawn[:n])
        assert np.all((ps > 0.0) & (ps <= 1.0))
        count = int(np.count_nonzero(ps <= level))
        low = betaincinv(count, n - count + 1, 5e-5) if count else 0.0
        high = betainccinv(count + 1, n - count, 5e-5) if count < n else 1.0
        limit = 1.5 * level if ceiling is None else ceiling
        found = f"rate {count}/{n} = {count / n:.5f} at level {level}, between {low:.5f} and {high:.5f}"
        assert low <= level, f"invalid: {found}"
        assert high <= limit, f"too few draws: {found}, above {limit:.5f}"
        assert count / n >= floor, f"too conservative: {found}, below {floor:.5f}"

    return check


@pytest.fixture(scope="session")
def log10_of() -> Callable[[Fraction], float]:
    """log10 of an exact fraction, rounded once."""

    def convert(value: Fraction) -> float:
        with localcontext() as context:
            context.prec = 60
            return float((Decimal(value.numerator) / Decimal(value.denominator)).log10())

    return convert
