from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.errors import UsageError
from spiritsafe.protect.marks.registry import mark
from spiritsafe.protect.marks.traced import Traced

MARK = Traced(1, 64, 2.0, 100)
LANES = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint32)


def test_the_two_lists_are_disjoint_and_of_equal_size() -> None:
    sides = MARK.side(LANES)
    assert set(np.unique(sides)) == {-1.0, 0.0, 1.0}
    assert (sides == 1).mean() == pytest.approx(0.25, abs=0.01)
    assert (sides == -1).mean() == pytest.approx(0.25, abs=0.01)
    np.testing.assert_array_equal(MARK.score(LANES), np.abs(sides))


def test_every_position_is_as_likely_and_has_nothing_to_do_with_the_list() -> None:
    positions = MARK.position(LANES)
    counts = np.bincount(positions, minlength=100)
    assert len(counts) == 100
    assert ((counts - 1000) ** 2 / 1000).sum() < 160  # chi-square, 99 degrees of freedom
    assert abs(np.corrcoef(positions, MARK.side(LANES))[0, 1]) < 0.02


@pytest.mark.parametrize("bit", [False, True])
def test_a_tenant_s_bit_picks_the_list_that_rises(bit: bool) -> None:
    word = np.zeros(100, dtype=np.bool_)
    word[7] = bit
    out = MARK.reweigh_for(np.zeros(LANES.size, dtype=np.float32), LANES, word)
    there = MARK.position(LANES) == 7
    np.testing.assert_array_equal(out[there] == 2.0, MARK.side(LANES)[there] == (1.0 if bit else -1.0))
    np.testing.assert_array_equal(out[~there] == 2.0, MARK.side(LANES)[~there] == -1.0)


@pytest.mark.parametrize("name", ["traced-k1-g0.5-d2-m256", "traced-k1-g0.25-d2-m8", "traced-k1-g0.25-d2"])
def test_lists_that_overlap_and_codes_too_short_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no mark"):
        mark(name)
