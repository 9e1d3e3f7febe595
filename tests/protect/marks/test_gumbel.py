from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.protect.marks.gumbel import RANGE, Gumbel

MARK = Gumbel(2)


def test_a_score_never_exceeds_the_exponential_it_is_cut_from() -> None:
    u = np.random.default_rng(0).random(100_000)
    scores = MARK.score(np.floor(u * RANGE).astype(np.uint32))
    assert (scores <= -np.log1p(-u)).all()
    assert np.isfinite(MARK.score(np.array([0, 2**32 - 1], dtype=np.uint32))).all()


def test_one_token_is_left_and_a_high_lane_wins() -> None:
    logits = np.zeros(4, dtype=np.float32)
    lanes = np.array([2**31, 2**32 - 5, 7, 2**30], dtype=np.uint32)
    out = MARK.reweigh(logits, lanes)
    assert out[1] == 0.0
    assert np.isneginf(np.delete(out, 1)).all()


@pytest.mark.parametrize("lane", [0, 2**32 - 1])
def test_extreme_lanes_draw_too(lane: int) -> None:
    out = MARK.reweigh(np.zeros(3, dtype=np.float32), np.full(3, lane, dtype=np.uint32))
    assert np.isfinite(out).sum() == 1


def test_a_sum_of_nothing_is_no_evidence() -> None:
    assert MARK.log10_tail(0.0, 5) == 0.0


def test_there_is_no_moment_beyond_one() -> None:
    np.testing.assert_array_equal(MARK.cumulant(np.array([1.0, 3.0])), [np.inf, np.inf])
