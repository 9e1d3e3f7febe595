"""Customers made of hours: honest ones with habits, weekends, news and late starts, and rings that keep step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

Counts = np.ndarray


@pytest.fixture(scope="session")
def weekend() -> Callable[[int], np.ndarray]:
    def make(days: int) -> np.ndarray:
        return np.arange(days) % 7 >= 5

    return make


@pytest.fixture(scope="session")
def honest_hours(weekend: Callable[[int], np.ndarray]) -> Callable[..., Counts]:
    """Exchanges [n, days, 24]: each its own amount and hours of the day; some keep weekends, some come late, some run
    jobs on the hour, and news make many ask at once.
    """

    def make(n: int, seed: int, days: int = 14, per_day: float = 20.0) -> Counts:
        rng = np.random.default_rng([seed, 5])
        profile = rng.dirichlet(np.full(24, 0.6), n)
        rate = per_day * rng.lognormal(-0.3, 0.8, n)[:, None, None] * profile[:, None, :] * np.ones((1, days, 1))
        works = rng.random(n) < 0.4
        rate[works] *= np.where(weekend(days), 0.15, 1.0)[None, :, None]
        late = np.flatnonzero(rng.random(n) < 0.3)
        for row, first in zip(late, rng.choice([2, 4, 7], len(late)), strict=True):
            rate[row, :first] = 0.0
        counts = rng.poisson(rate)
        for day, hour in zip(rng.integers(0, days, 6), rng.integers(0, 24, 6), strict=True):
            there = rng.random(n) < 0.3
            counts[there, day, hour] += rng.poisson(0.1 * counts[there].sum(axis=(1, 2)))
        return counts.astype(np.float32)

    return make


@pytest.fixture(scope="session")
def in_step() -> Callable[..., Counts]:
    """Customers that send a part of what they ask in waves that they have in common (or on the same days)."""

    def make(n: int, seed: int, days: int = 14, per_day: float = 60.0, part: float = 0.5, by: str = "hour") -> Counts:
        rng = np.random.default_rng([seed, 6])
        own = rng.dirichlet(np.full(24, 0.6), n)[:, None, :] * np.full((1, days, 1), per_day * (1.0 - part))
        if by == "hour":
            waves = (rng.random((days, 24)) < 0.15).astype(float)
            shared = np.tile(waves / waves.sum() * per_day * days * part, (n, 1, 1))
        else:
            active = np.zeros(days)
            active[rng.choice(days, 2 * days // 3, replace=False)] = 1.0
            shared = own / own.sum(axis=2, keepdims=True) * (active / active.mean() * per_day * part)[None, :, None]
        return rng.poisson(own + shared).astype(np.float32)

    return make
