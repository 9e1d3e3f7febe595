from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.detect.middles import LEAST, Middles, is_known
from spiritsafe.detect.types import UNKNOWN


def test_each_kind_has_its_own_middle_and_small_ones_that_of_all() -> None:
    statistic = np.concatenate([np.linspace(0.0, 1.0, 100), np.linspace(10.0, 11.0, 100), [50.0] * (LEAST - 1)])
    kind = np.repeat([0, 1, 2], [100, 100, LEAST - 1])
    middles = Middles.of(statistic, kind, 3)
    assert middles.middle[0] == pytest.approx(0.5)
    assert middles.middle[1] == pytest.approx(10.5)
    assert middles.middle[2] == middles.middle[3] == np.median(statistic)
    standing = middles.standing(np.array([0.9, 10.9]), np.array([0, 1]))
    assert standing[0] == pytest.approx(standing[1])


def test_a_tenth_of_strangers_in_a_kind_hides_nobody() -> None:
    rng = np.random.default_rng(1)
    honest = rng.normal(size=200)
    clean = Middles.of(honest, np.zeros(200, dtype=np.int64), 1)
    mixed = Middles.of(np.concatenate([honest, np.full(20, 50.0)]), np.zeros(220, dtype=np.int64), 1)
    at = np.array([50.0]), np.array([0])
    assert mixed.standing(*at)[0] > 0.4 * clean.standing(*at)[0]
    assert mixed.standing(*at)[0] > mixed.standing(honest, np.zeros(200, dtype=np.int64)).max()


def test_what_is_unknown_stays_so_and_weighs_on_no_middle() -> None:
    statistic = np.concatenate([np.arange(40.0), [UNKNOWN] * 60])
    middles = Middles.of(statistic, np.zeros(100, dtype=np.int64), 1)
    assert middles.middle[0] == np.median(np.arange(40.0))
    standing = middles.standing(statistic, np.zeros(100, dtype=np.int64))
    assert (standing[40:] == UNKNOWN).all()
    assert is_known(standing).tolist() == [True] * 40 + [False] * 60


def test_nothing_known_and_all_alike_give_finite_numbers() -> None:
    for statistic in (np.zeros(0), np.full(30, UNKNOWN), np.full(30, 2.0)):
        kind = np.zeros(len(statistic), dtype=np.int64)
        middles = Middles.of(statistic, kind, 2)
        assert np.isfinite(middles.middle).all()
        assert (middles.spread > 0).all()
        assert np.isfinite(middles.standing(statistic, kind)).all()
