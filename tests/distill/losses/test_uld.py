from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distill.losses.types import Dense, Head
from spiritsafe.distill.losses.uld import shared_starts, uld


@pytest.mark.parametrize("more", [-3, 0, 4])
def test_uld(conforms, dense, more):
    def teach(n, v, temperature, g, dtype):
        teach.temperature = temperature
        return dense(n, v + more, temperature, g, dtype)

    def plain(logits, teacher):
        q = logits.softmax(-1).sort(-1, descending=True).values
        p = (teacher.logits(0, len(logits)) / teach.temperature).softmax(-1).sort(-1, descending=True).values
        width = max(q.shape[1], p.shape[1])
        fill = torch.nn.functional.pad
        return (fill(q, (0, width - q.shape[1])) - fill(p, (0, width - p.shape[1]))).abs().sum(-1)

    # Its gradient jumps where two sorted probabilities cross, which rounding to bf16 makes them do.
    conforms(uld, plain, teach, coarse=0.7)


def test_the_names_of_the_tokens_do_not_matter():
    hidden, weight = torch.randn(3, 4, dtype=torch.float64), torch.randn(9, 4, dtype=torch.float64)
    shuffled = (hidden @ weight.T)[:, torch.randperm(9)]
    assert uld(hidden, Head(weight), Dense(lambda a, b: shuffled[a:b], 9)).loss.item() == pytest.approx(0, abs=1e-12)


def test_positions_pair_where_both_tokenizers_begin_a_token():
    # "un|believ|able" and "unbe|liev|able": both begin at 0 and at 8.
    assert shared_starts([0, 2, 8], [0, 4, 8]) == [(0, 0), (2, 2)]
    assert shared_starts([0, 1, 1, 1, 2], [0, 1, 2, 2]) == [(0, 0), (1, 1), (4, 2)]  # bytes of one letter
    assert shared_starts([], [0]) == []


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_pairs_are_exactly_the_shared_offsets_in_order(a, b):
    student, teacher = sorted(a), sorted(b)
    pairs = shared_starts(student, teacher)
    assert [student[i] for i, _ in pairs] == sorted(a & b)
    assert all(student[i] == teacher[j] for i, j in pairs)
