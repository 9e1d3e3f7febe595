from __future__ import annotations

import pytest
import torch

from spiritsafe.distill.losses.forward_kl import forward_kl
from spiritsafe.distill.losses.topk_kl import topk_kl
from spiritsafe.distill.losses.types import Dense, Head, TopK
from spiritsafe.errors import InputError, UsageError

K = 3


def top(logits, k):
    log_p, ids = logits.log_softmax(-1).topk(k, -1)
    return TopK(ids, log_p)


def teach(n, v, temperature, g, dtype):
    said = top((2 * torch.randn(n, v, generator=g, dtype=torch.float64) / temperature).to(dtype), K)
    said.ids[::3, K - 1] = -1  # every third row knows one token fewer
    return said


def plain(logits, teacher, tail):
    rows = []
    for z, ids, log_p in zip(logits, teacher.ids, teacher.logprobs.to(logits.dtype), strict=True):
        known = ids >= 0
        log_q, p = z.log_softmax(-1), log_p[known].exp()
        if tail == "renormalise":
            p = p / p.sum()
            rows.append((p * (p.log() - log_q[ids[known]])).sum())
            continue
        mask = torch.ones(len(z), dtype=torch.bool)
        mask[ids[known]] = False
        r, q_r = 1 - p.sum(), log_q[mask].exp().sum()
        rows.append((p * (p.log() - log_q[ids[known]])).sum() + r * (r.log() - q_r.log()))
    return torch.stack(rows) if rows else logits.sum(-1)


@pytest.mark.parametrize("tail", ["bucket", "renormalise"])
def test_topk_kl(conforms, tail):
    conforms(topk_kl, lambda logits, teacher: plain(logits, teacher, tail), teach, tail=tail)


@pytest.fixture
def whole():
    g = torch.Generator().manual_seed(3)
    hidden = torch.randn(6, 4, generator=g, dtype=torch.float64).requires_grad_()
    weight, said = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((10, 4), (6, 10)))
    full = forward_kl(hidden, Head(weight), Dense(lambda a, b: said[a:b], 10))
    return hidden, Head(weight), said, full


@pytest.mark.parametrize("tail", ["bucket", "renormalise"])
def test_with_every_token_known_it_is_the_full_kl(whole, tail):
    hidden, head, said, full = whole
    value = topk_kl(hidden, head, top(said, 10), tail=tail)
    torch.testing.assert_close(value.rows, full.rows)
    (gradient,) = torch.autograd.grad(value.loss, hidden)
    torch.testing.assert_close(gradient, torch.autograd.grad(full.loss, hidden)[0])


def test_the_bucket_is_a_lower_bound_that_rises_with_k(whole):
    hidden, head, said, full = whole
    values = [topk_kl(hidden, head, top(said, k)).rows for k in range(1, 11)]
    for less, more in zip(values, [*values[1:], full.rows], strict=True):
        assert (less <= more + 1e-12).all()


def test_the_bucket_leaves_a_student_alone_that_is_right_on_the_k_while_renormalising_does_not(whole):
    hidden, head, _, _ = whole
    own = (hidden @ head.weight.T).detach()
    right, _ = torch.autograd.grad(topk_kl(hidden, head, top(own, 2)).loss, hidden), None
    wrong = torch.autograd.grad(topk_kl(hidden, head, top(own, 2), tail="renormalise").loss, hidden)
    assert right[0].abs().max() < 1e-12
    assert wrong[0].abs().max() > 1e-3


@pytest.mark.parametrize("tail", ["bucket", "renormalise"])
def test_a_position_of_which_nothing_is_known_adds_nothing(tail):
    hidden = torch.randn(2, 3, requires_grad=True)
    said = TopK(torch.full((2, 2), -1), torch.zeros(2, 2))
    value = topk_kl(hidden, Head(torch.randn(5, 3)), said, tail=tail)
    value.loss.backward()
    assert value.rows.abs().max() < 1e-6
    assert hidden.grad.abs().max() < 1e-6


def test_a_student_that_is_sure_of_a_wrong_token_gets_a_finite_gradient():
    hidden = torch.tensor([[200.0]], requires_grad=True)
    weight = torch.tensor([[1.0], [0.0], [-1.0]])
    value = topk_kl(hidden, Head(weight), TopK(torch.tensor([[0]]), torch.tensor([[-1.0]])))
    value.loss.backward()
    assert value.loss.item() == pytest.approx(200 * (1 - torch.e**-1), rel=0.01)
    assert hidden.grad.item() == pytest.approx(1 - torch.e**-1, rel=1e-3)


@pytest.mark.parametrize(
    ("ids", "shape", "words"),
    [
        ([[1, 1]], (1, 2), "twice"),
        ([[-1, 1]], (1, 2), "before a token"),
        ([[1, 9]], (1, 2), "another tokenizer"),
        ([[1, 2]], (1, 3), "differ"),
        ([[]], (1, 0), "differ"),
    ],
)
def test_ids_that_can_not_be_meant_are_refused(ids, shape, words):
    said = TopK(torch.tensor(ids, dtype=torch.long), torch.full(shape, -1.0))
    with pytest.raises(InputError, match=words):
        topk_kl(torch.randn(1, 3), Head(torch.randn(5, 3)), said)


def test_an_unknown_tail_names_the_valid_ones():
    said = TopK(torch.tensor([[1]]), torch.tensor([[-1.0]]))
    with pytest.raises(UsageError, match="bucket, renormalise"):
        topk_kl(torch.randn(1, 3), Head(torch.randn(5, 3)), said, tail="drop")  # type: ignore[arg-type]
