from __future__ import annotations

import math

import pytest
import torch

from spiritsafe.distill.losses.forward_kl import forward_kl
from spiritsafe.distill.losses.jsd import jsd
from spiritsafe.distill.losses.reverse_kl import reverse_kl
from spiritsafe.distill.losses.types import Dense, Head
from spiritsafe.errors import UsageError


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_jsd(conforms, dense, beta):
    def teach(n, v, temperature, g, dtype):
        teach.temperature = temperature
        return dense(n, v, temperature, g, dtype)

    def plain(logits, teacher):
        log_q = logits.log_softmax(-1)
        log_p = (teacher.logits(0, len(logits)) / teach.temperature).log_softmax(-1)
        log_m = torch.logaddexp(log_p + math.log(beta), log_q + math.log1p(-beta))
        toward_p = (log_p.exp() * (log_p - log_m)).sum(-1)
        return beta * toward_p + (1 - beta) * (log_q.exp() * (log_q - log_m)).sum(-1)

    conforms(jsd, plain, teach, beta=beta)


@pytest.mark.parametrize(("beta", "other"), [(1e-6, forward_kl), (1 - 1e-6, reverse_kl)])
def test_near_its_ends_it_points_where_the_kls_do(beta, other):
    gradients = []
    for loss, keywords in ((jsd, {"beta": beta}), (other, {})):
        g = torch.Generator().manual_seed(0)
        hidden = torch.randn(4, 5, generator=g, dtype=torch.float64).requires_grad_()
        weight, said = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((8, 5), (4, 8)))
        loss(hidden, Head(weight), Dense(lambda a, b, said=said: said[a:b], 8), **keywords).loss.backward()
        gradients.append(hidden.grad.flatten())
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.9999


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.1, math.nan])
def test_the_ends_are_refused(dense, beta):
    with pytest.raises(UsageError, match="forward_kl and reverse_kl"):
        jsd(torch.randn(2, 3), Head(torch.randn(5, 3)), Dense(lambda a, b: torch.randn(b - a, 5), 5), beta=beta)
