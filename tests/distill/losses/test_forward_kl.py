from __future__ import annotations

import pytest
import torch

from spiritsafe.distill.losses.forward_kl import forward_kl
from spiritsafe.distill.losses.types import Dense, Head
from spiritsafe.errors import InputError


def test_forward_kl(conforms, dense):
    def teach(n, v, temperature, g, dtype):
        teach.temperature = temperature
        return dense(n, v, temperature, g, dtype)

    def plain(logits, teacher):
        log_q = logits.log_softmax(-1)
        log_p = (teacher.logits(0, len(logits)) / teach.temperature).log_softmax(-1)
        return (log_p.exp() * (log_p - log_q)).sum(-1)

    conforms(forward_kl, plain, teach)


def test_a_token_the_teacher_never_says_costs_nothing():
    hidden, head = torch.randn(3, 4, dtype=torch.float64), Head(torch.randn(6, 4, dtype=torch.float64))
    said = torch.randn(3, 6, dtype=torch.float64)
    said[:, 2] = -torch.inf
    value = forward_kl(hidden.requires_grad_(), head, Dense(lambda a, b: said[a:b], 6))
    value.loss.backward()
    p, log_q = said.softmax(-1), (hidden @ head.weight.T).log_softmax(-1)
    torch.testing.assert_close(value.rows, (torch.xlogy(p, p) - p * log_q).sum(-1).detach())
    assert torch.isfinite(hidden.grad).all()


def test_an_equal_teacher_gives_no_loss_and_no_gradient():
    hidden, weight = torch.randn(5, 4, dtype=torch.float64, requires_grad=True), torch.randn(9, 4, dtype=torch.float64)
    logits = (hidden @ weight.T).detach()
    value = forward_kl(hidden, Head(weight), Dense(lambda a, b: logits[a:b], 9))
    value.loss.backward()
    assert value.loss.item() == pytest.approx(0.0, abs=1e-12)
    assert hidden.grad.abs().max() < 1e-12


def test_a_teacher_of_another_vocabulary_is_refused():
    with pytest.raises(InputError, match="7 tokens"):
        forward_kl(torch.randn(2, 3), Head(torch.randn(5, 3)), Dense(lambda a, b: torch.randn(b - a, 7), 7))
