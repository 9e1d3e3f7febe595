from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.distill.cache.draw import distinct_for, likeliest, systematic


def logits_of(n, v, seed, scale=3.0):
    return scale * torch.randn(n, v, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weights(sample, v):
    """The sample as (N, V): counts over rounds."""
    out = np.zeros((len(sample.lengths), v))
    row = np.repeat(np.arange(len(sample.lengths)), sample.lengths)
    np.add.at(out, (row, sample.ids), sample.counts / sample.rounds[row])
    return out


@pytest.mark.parametrize(("rounds", "distinct"), [(64, 11.0), (64, 3.0), (5, 50.0), (1, 1.0)])
def test_its_mean_over_the_offset_is_the_distribution_itself(rounds, distinct):
    """Systematic sampling is piecewise constant in the offset: a fine even grid of offsets integrates it."""
    v, grid = 40, 4000
    logits = logits_of(1, v, 3)
    offsets = (np.arange(grid) + 0.5) / grid
    drawn = systematic(logits.expand(grid, v), offsets, temperature=1.3, rounds=rounds, distinct=distinct)
    p = (logits / 1.3).softmax(-1).numpy()[0]
    np.testing.assert_allclose(weights(drawn, v).mean(0), p, atol=1.5 / grid)


@settings(max_examples=60)
@given(
    v=st.integers(1, 90),
    seed=st.integers(0, 10**6),
    scale=st.floats(0.0, 30.0),
    rounds=st.integers(1, 64),
    distinct=st.floats(1.0, 20.0),
)
def test_every_count_is_its_expectation_rounded_up_or_down(v, seed, scale, rounds, distinct):
    logits = logits_of(4, v, seed, scale)
    offsets = np.random.default_rng(seed).random(4)
    drawn = systematic(logits, offsets, temperature=1.0, rounds=rounds, distinct=distinct)
    p = logits.softmax(-1).numpy()
    expected = p * drawn.rounds[:, None]
    counts = weights(drawn, v) * drawn.rounds[:, None]
    assert (np.abs(counts - expected) < 1.0 + 1e-4).all()
    np.testing.assert_allclose(weights(drawn, v).sum(-1), 1.0)
    assert (drawn.rounds <= rounds).all()
    assert (drawn.lengths <= drawn.rounds).all()
    row = np.repeat(np.arange(4), drawn.lengths)
    assert len(set(zip(row, drawn.ids, strict=True))) == len(drawn.ids)  # a token stands once
    for i in range(4):
        n = drawn.rounds[i]
        assert n == 1 or np.minimum(1.0, n * p[i]).sum() <= distinct + 1e-4
        assert n == rounds or np.minimum(1.0, (n + 1) * p[i]).sum() > distinct - 1e-4


def test_about_as_many_differ_as_were_asked_for():
    logits = logits_of(2000, 5000, 1, scale=1.0)  # nearly flat: every draw would differ
    drawn = systematic(logits, np.random.default_rng(0).random(2000), temperature=1.0, rounds=64, distinct=11.0)
    assert 10.0 <= drawn.lengths.mean() <= 11.0


def test_a_sure_teacher_takes_one_entry():
    logits = torch.zeros(3, 100, dtype=torch.float64)
    logits[:, 7] = 60.0
    drawn = systematic(logits, np.array([0.0, 0.5, 0.999]), temperature=1.0, rounds=64, distinct=11.0)
    assert drawn.ids.tolist() == [7, 7, 7]
    assert drawn.counts.tolist() == [64, 64, 64]
    assert (drawn.entropy < 1e-4).all()


def test_what_the_teacher_never_says_is_never_drawn():
    logits = torch.zeros(50, 8, dtype=torch.float64)
    logits[:, [0, 3, 7]] = -torch.inf
    drawn = systematic(logits, np.linspace(0, 0.999, 50), temperature=1.0, rounds=9, distinct=9.0)
    assert not set(drawn.ids.tolist()) & {0, 3, 7}


def test_its_variance_is_far_below_that_of_independent_draws():
    v, n = 200, 4000
    logits = logits_of(1, v, 5, scale=2.5)
    p = logits.softmax(-1).numpy()[0]
    rng = np.random.default_rng(1)
    drawn = systematic(logits.expand(n, v), rng.random(n), temperature=1.0, rounds=32, distinct=50.0)
    ours = weights(drawn, v).var(0).sum()
    independent = (p * (1 - p)).sum() / 32  # multinomial with as many rounds
    assert ours < 0.4 * independent


def test_the_entropy_is_the_teachers():
    logits = logits_of(5, 30, 2)
    drawn = systematic(logits, np.zeros(5), temperature=2.0, rounds=8, distinct=8.0)
    p = (logits / 2.0).softmax(-1)
    np.testing.assert_allclose(drawn.entropy, -(p * p.log()).sum(-1).numpy(), rtol=1e-4)


def test_nothing_in_gives_nothing_out():
    drawn = systematic(torch.zeros(0, 9), np.zeros(0), temperature=1.0, rounds=8, distinct=8.0)
    assert [len(x) for x in drawn] == [0] * 5


def test_the_likeliest_keep_their_mass_over_the_whole_vocabulary():
    logits = logits_of(4, 30, 9)
    top = likeliest(logits, temperature=1.5, k=5)
    log_p = (logits / 1.5).log_softmax(-1).numpy()
    row = np.repeat(np.arange(4), 5)
    np.testing.assert_allclose(top.logprobs, log_p[row, top.ids], rtol=1e-5)
    np.testing.assert_array_equal(np.sort(top.ids.reshape(4, 5)), np.sort(np.argsort(-log_p)[:, :5]))


def test_the_budget_is_met_on_average_and_sure_positions_leave_room_for_unsure_ones():
    logits = logits_of(400, 5000, 1, scale=1.0)
    logits[::2, 7] += 30.0  # every other position is sure
    distinct = distinct_for(logits, 40.0, temperature=1.0, rounds=64, entry=3)
    drawn = systematic(logits, np.random.default_rng(0).random(400), temperature=1.0, rounds=64, distinct=distinct)
    taken = 4 + 3 * drawn.lengths.mean()
    assert 37.0 <= taken <= 40.5
    assert distinct > 20


def test_a_budget_too_small_still_gives_one_entry_and_a_large_one_all_rounds():
    logits = logits_of(5, 300, 1)
    assert distinct_for(logits, 1.0, temperature=1.0, rounds=64, entry=3) == 1.0
    assert distinct_for(logits, 1e9, temperature=1.0, rounds=16, entry=3) == 16.0
