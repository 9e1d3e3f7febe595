from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from spiritsafe.policy.weigh import by_family, families_in, from_families
from spiritsafe.stats.result import JOINTLY, Evidence


def test_detectors_of_one_family_are_averaged(evidence: Callable[..., Evidence]) -> None:
    weights = by_family([evidence("asked", 2.0), evidence("asked", 0.0), evidence("phrased", 1.0)])
    assert weights == {"asked": pytest.approx(np.log10(50.5)), "phrased": 1.0}


def test_the_detector_that_finds_most_has_the_most_weight(evidence: Callable[..., Evidence]) -> None:
    heavy = msgspec.structs.replace(evidence("asked", 2.0), weight=3.0)
    assert by_family([heavy, evidence("asked", 0.0)]) == {"asked": pytest.approx(np.log10(0.75 * 100 + 0.25))}
    assert by_family([heavy]) == {"asked": pytest.approx(2.0)}


def test_two_detectors_of_one_family_are_one_family(evidence: Callable[..., Evidence]) -> None:
    assert from_families(by_family([evidence("asked", 9.0), evidence("asked", 9.0)]), 2) == 0.0


def test_the_strongest_family_is_dropped_however_strong() -> None:
    assert from_families({"asked": 300.0, "phrased": -1.0}, 2) == -1.0
    assert from_families({"asked": 300.0, "phrased": 2.0, "together": 2.0}, 2) == pytest.approx(2.0)


def test_one_family_is_the_average_of_all() -> None:
    assert from_families({"asked": 2.0, "phrased": -300.0}, 1) == pytest.approx(2.0 - np.log10(2))


def test_nothing_is_no_evidence() -> None:
    assert by_family([]) == {}
    assert from_families({}, 1) == 0.0


def test_one_bad_family_rarely_makes_two() -> None:
    # At most one family is false: its e-value is as large as can be, the others bet on uniform p-values.
    rng = np.random.default_rng(0)
    p = rng.random((20_000, 2))
    honest = np.log10(0.5 * p**-0.5)
    worth = np.array([from_families({"asked": 250.0, "phrased": a, "together": b}, 2) for a, b in honest[:4000]])
    assert np.mean(10.0**worth) < 1.15
    for alpha in (0.1, 0.01):
        assert np.mean(worth >= -np.log10(alpha)) <= alpha


def test_what_was_combined_before_it_was_ranked_stands_against_fewer_than_two_families(
    evidence: Callable[..., Evidence],
) -> None:
    each = {"asked": 2.0, "drawn": 0.0, "when": 0.0, JOINTLY: 2.5}
    weights = by_family([evidence(family, weight) for family, weight in each.items()])
    assert families_in(weights) == 3
    assert from_families(weights, 2) == 2.5
    assert from_families(weights, 1) == from_families({f: w for f, w in weights.items() if f != JOINTLY}, 1)
    assert from_families(weights, 3) == from_families({f: w for f, w in weights.items() if f != JOINTLY}, 3)
    assert from_families({**weights, JOINTLY: -0.5}, 2) == -0.5
