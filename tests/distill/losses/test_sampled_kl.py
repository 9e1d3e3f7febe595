from __future__ import annotations

import pytest
import torch

from spiritsafe.distill.losses.forward_kl import forward_kl
from spiritsafe.distill.losses.sampled_kl import sampled_kl
from spiritsafe.distill.losses.types import Dense, Head, Sampled
from spiritsafe.errors import InputError


def teach(n, v, temperature, g, dtype):
    counts = torch.randint(1, 5, (n, 4), generator=g).to(dtype)
    ids = torch.randint(0, v, (n, 4), generator=g)  # a token may stand twice: its weights add up
    return Sampled(ids, counts / counts.sum(-1, keepdim=True), torch.rand(n, generator=g))


def plain(logits, teacher):
    log_q = logits.log_softmax(-1)
    rows = -(teacher.weights.to(logits.dtype) * log_q.gather(1, teacher.ids)).sum(-1)
    return rows - teacher.entropy.to(logits.dtype)


def test_sampled_kl(conforms):
    conforms(sampled_kl, plain, teach)


def test_the_mean_over_samples_is_the_full_kl_in_value_and_gradient():
    g = torch.Generator().manual_seed(1)
    hidden = torch.randn(1, 4, generator=g, dtype=torch.float64).requires_grad_()
    head = Head(torch.randn(6, 4, generator=g, dtype=torch.float64))
    said = torch.randn(1, 6, generator=g, dtype=torch.float64)
    p = said.softmax(-1)
    full = forward_kl(hidden, head, Dense(lambda a, b: said[a:b], 6))
    # All 6 outcomes of one round, weighted by how often they come, are the expectation exactly.
    entropy = -(p * p.log()).sum(-1)
    value, gradient = 0.0, torch.zeros_like(hidden)
    for i in range(6):
        one = sampled_kl(hidden, head, Sampled(torch.tensor([[i]]), torch.ones(1, 1, dtype=torch.float64), entropy))
        value += float((p[0, i] * one.loss).detach())
        gradient += p[0, i] * torch.autograd.grad(one.loss, hidden)[0]
    assert value == pytest.approx(full.loss.item())
    torch.testing.assert_close(gradient, torch.autograd.grad(full.loss, hidden)[0])


def test_without_the_entropy_it_is_the_cross_entropy():
    hidden, head = torch.randn(3, 4), Head(torch.randn(6, 4))
    ids = torch.tensor([[1], [2], [3]])
    value = sampled_kl(hidden, head, Sampled(ids, torch.ones(3, 1)))
    torch.testing.assert_close(
        value.loss, torch.nn.functional.cross_entropy(hidden @ head.weight.T, ids.squeeze(1)), rtol=1e-5, atol=1e-5
    )


def test_weights_that_do_not_sum_to_one_are_refused_by_position():
    said = Sampled(torch.zeros(2, 2, dtype=torch.long), torch.tensor([[0.5, 0.5], [0.5, 0.1]]))
    with pytest.raises(InputError, match=r"position 1 sum to 0\.6"):
        sampled_kl(torch.randn(2, 3), Head(torch.randn(5, 3)), said)


def test_shapes_that_differ_are_refused():
    said = Sampled(torch.zeros(2, 2, dtype=torch.long), torch.ones(2, 1))
    with pytest.raises(InputError, match="differ"):
        sampled_kl(torch.randn(2, 3), Head(torch.randn(5, 3)), said)
