from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.detect.joint import Joint, View, joint
from spiritsafe.detect.types import UNKNOWN
from spiritsafe.stats.result import JOINTLY

FAMILIES = ("asked", "asked", "phrased", "when", "when", "drawn")
N, M = 400, 200


def looked(rng: np.random.Generator, mine: np.ndarray, others: np.ndarray | None) -> Joint:
    made = joint([View(f, mine[:, k], None if others is None else others[:, k]) for k, f in enumerate(FAMILIES)], "x")
    assert made is not None
    return made


def dependent(rng: np.random.Generator, n: int) -> np.ndarray:
    """Scores of honest accounts, heavy in the tail, that depend on one another across detectors and families."""
    return rng.standard_t(3, (n, len(FAMILIES))) + rng.standard_t(3, (n, 1))


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("unlike", [None, 0, 3])
def test_one_family_however_unlike_is_no_evidence(alone: bool, unlike: int | None) -> None:
    rng = np.random.default_rng(1)
    small, worth = 0, []
    for _ in range(600 if alone and unlike is not None else 60):
        mine, others = dependent(rng, M), dependent(rng, N)
        if unlike is not None:  # alone, all of them would hide behind one another
            some = slice(0, 1) if alone else slice(None)
            mine[some, [k for k, f in enumerate(FAMILIES) if f == FAMILIES[unlike]]] += 1e6
            found = looked(rng, mine, None if alone else others)
            p, e = found.p[some], found.log10_e()[some]
        else:
            found = looked(rng, mine, None if alone else others)
            p, e = found.p, found.log10_e()
        small += int((p <= 0.05).sum())
        worth += (10.0**e).tolist()
    assert small / len(worth) <= 0.075
    assert np.mean(worth) <= 1.2


def test_two_families_are_evidence_that_no_mean_dilutes() -> None:
    rng = np.random.default_rng(2)
    mine, others = rng.normal(size=(M, len(FAMILIES))), rng.normal(size=(N, len(FAMILIES)))
    mine[0, [0, 3]] = 1e6
    mine[1, 0] = 1e6
    mine[2, [0, 1, 3, 4, 5]] = 1e6
    found = looked(rng, mine, others)
    assert found.p[2] == pytest.approx(1.0 / (N + 1))
    assert found.p[0] < 0.03
    assert found.log10_e()[2] > 1.7
    assert found.p[1] > 0.05
    held = found.evidence(2, "a")
    assert held is not None
    assert held.family == JOINTLY
    assert held.result.n == 4
    assert "asked 1 in 401" in held.result.because[0]


def test_what_is_unknown_makes_an_account_no_stranger() -> None:
    rng = np.random.default_rng(3)
    mine, others = dependent(rng, M), dependent(rng, N)
    known = looked(rng, mine, others).p
    mine[:, 5] = UNKNOWN
    others[: N // 2, 3:] = UNKNOWN
    found = looked(rng, mine, others)
    assert not np.isnan(found.p).any()
    mine[0, 1:] = UNKNOWN
    mine[1] = UNKNOWN
    found = looked(rng, mine, others)
    assert np.isnan(found.p[:2]).all()
    assert (found.log10_e()[:2] == 0.0).all()
    assert found.evidence(0, "a") is None
    assert known.shape == found.p.shape


def test_detectors_of_one_family_make_none() -> None:
    assert joint([View("asked", np.zeros(3), None)] * 2, "x") is None
    assert joint([], "x") is None
