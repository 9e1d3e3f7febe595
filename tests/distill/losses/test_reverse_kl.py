from __future__ import annotations

import torch

from spiritsafe.distill.losses.reverse_kl import reverse_kl
from spiritsafe.distill.losses.types import Dense, Head


def test_reverse_kl(conforms, dense):
    def teach(n, v, temperature, g, dtype):
        teach.temperature = temperature
        return dense(n, v, temperature, g, dtype)

    def plain(logits, teacher):
        log_q = logits.log_softmax(-1)
        log_p = (teacher.logits(0, len(logits)) / teach.temperature).log_softmax(-1)
        return (log_q.exp() * (log_q - log_p)).sum(-1)

    conforms(reverse_kl, plain, teach)


def test_saying_what_the_teacher_never_says_is_dear_but_finite():
    hidden = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    said = torch.randn(2, 5, dtype=torch.float64)
    said[0, 1] = -torch.inf
    value = reverse_kl(hidden, Head(torch.randn(5, 3, dtype=torch.float64)), Dense(lambda a, b: said[a:b], 5))
    value.loss.backward()
    assert value.rows[0] > 1e20
    assert torch.isfinite(hidden.grad).all()
