"""Calls made of numbers: when they came and how their answers were drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spiritsafe.detect.calls import PARAMS, Calls
from spiritsafe.detect.types import CallDetector, Measured, Peers

START = 1_767_571_200.0  # a midnight
MadeCalls = Callable[..., Calls]


def made(seconds: np.ndarray, digest: np.ndarray | None = None, **params: Any) -> Calls:
    columns = np.full((len(seconds), len(PARAMS)), np.nan, dtype=np.float32)
    for name, values in params.items():
        columns[:, PARAMS.index(name)] = values
    none = np.zeros(len(seconds), dtype=np.uint64)
    return Calls(np.asarray(seconds, dtype=np.float64) + START, none if digest is None else digest, columns)


@pytest.fixture(scope="session")
def calls() -> MadeCalls:
    return made


@pytest.fixture(scope="session")
def scored() -> Callable[[CallDetector, Calls], Measured]:
    """What a detector makes of one account's calls."""

    def measure(detector: CallDetector, calls: Calls) -> Measured:
        tracker = detector.tracker()
        tracker.learn(detector.features(calls))
        windows = np.stack([tracker.window()])
        return detector.measure(windows, Peers(windows[:0]), [np.zeros(0, dtype=np.int64)])

    return measure


@pytest.fixture(scope="session")
def office() -> Callable[..., np.ndarray]:
    """Times of one who works by day, in bursts, on some days: seconds after ``START``."""

    def times(rng: np.random.Generator, n: int, days: int = 14) -> np.ndarray:
        bursts = (
            rng.choice(np.arange(days), max(n // 12, 1)) * 86_400.0 + rng.normal(13.0, 2.5, max(n // 12, 1)) * 3600.0
        )
        return np.abs(rng.choice(bursts, n) + rng.exponential(600.0, n))

    return times
