from __future__ import annotations

import pytest
import torch

from spiritsafe.distill.losses.chunked import chunked, from_head, same_vocabulary
from spiritsafe.distill.losses.forward_kl import forward_kl
from spiritsafe.distill.losses.sft import sft
from spiritsafe.distill.losses.types import Dense, Head, Tokens
from spiritsafe.errors import InputError, UsageError


def square(z, t, work, where):
    return (z * z).sum(-1) / 2, z


def test_a_row_loss_is_summed_and_its_gradient_reaches_hidden_and_head():
    hidden, weight = torch.randn(5, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)
    a, b = (x.clone().requires_grad_() for x in (hidden, weight))
    chunked(a, Head(b), square, rows_per_chunk=2).loss.backward()
    c, d = (x.clone().requires_grad_() for x in (hidden, weight))
    ((c @ d.T).square().sum() / 2 / 5).backward()
    torch.testing.assert_close((a.grad, b.grad), (c.grad, d.grad))


def test_the_teacher_is_asked_once_for_each_position_in_order():
    asked = []

    def logits(start, stop):
        asked.append((start, stop))
        return torch.zeros(stop - start, 7)

    chunked(torch.randn(5, 3), Head(torch.randn(7, 3)), square, teacher=Dense(logits, 7), rows_per_chunk=2)
    assert asked == [(0, 2), (2, 4), (4, 5)]


def test_from_head_gives_the_teachers_own_logits_with_its_width_bias_scale_and_cap():
    hidden, weight, bias = torch.randn(5, 6), torch.randn(7, 6), torch.randn(7)
    teacher = from_head(hidden, Head(weight, bias, 0.5, 2.0))
    expected = 2.0 * torch.tanh((hidden @ weight.T + bias) * 0.5 / 2.0)
    assert teacher.vocabulary == 7
    for start, stop in ((0, 2), (2, 5)):
        torch.testing.assert_close(teacher.logits(start, stop), expected[start:stop])


def test_the_teachers_head_gets_no_gradient():
    hidden, weight = torch.randn(4, 3), torch.randn(7, 3, requires_grad=True)
    own = torch.randn(4, 5, requires_grad=True)
    forward_kl(own, Head(torch.randn(7, 5)), from_head(hidden, Head(weight))).loss.backward()
    assert weight.grad is None
    assert own.grad is not None


def test_a_head_in_float32_under_bf16_states_gets_its_gradient_in_float32():
    hidden = torch.randn(6, 4).bfloat16().requires_grad_()
    weight = torch.randn(9, 4, requires_grad=True)
    ids = torch.arange(6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = sft(hidden, Head(weight), Tokens(ids))
    value.loss.backward()
    assert hidden.grad.dtype == torch.bfloat16
    assert weight.grad.dtype == torch.float32
    plain = weight.detach().clone().requires_grad_()
    torch.nn.functional.cross_entropy(hidden.detach().float() @ plain.T, ids).backward()
    torch.testing.assert_close(weight.grad, plain.grad, rtol=0.05, atol=0.01)


def test_a_tied_head_adds_to_the_gradient_of_the_embedding():
    weight = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    ids = torch.tensor([1, 5, 8])
    sft(weight[ids], Head(weight), Tokens(ids)).loss.backward()
    plain = weight.detach().clone().requires_grad_()
    torch.nn.functional.cross_entropy(plain[ids] @ plain.T, ids).backward()
    torch.testing.assert_close(weight.grad, plain.grad)


def test_many_chunks_in_bf16_do_not_lose_small_gradients():
    # 512 equal contributions: summed in bf16 the total would stop growing at 256.
    hidden = torch.ones(512, 1).bfloat16()
    weight = torch.zeros(2, 1).bfloat16().requires_grad_()
    sft(
        hidden, Head(weight), Tokens(torch.zeros(512, dtype=torch.long)), denominator=1.0, rows_per_chunk=1
    ).loss.backward()
    assert weight.grad.flatten().tolist() == [-256.0, 256.0]


def test_another_vocabulary_is_refused_with_the_way_out():
    with pytest.raises(InputError, match="cross-tokenizer"):
        same_vocabulary(Dense(lambda a, b: torch.zeros(b - a, 6), 6), Head(torch.zeros(5, 2)))


@pytest.mark.parametrize(
    "keywords", [{"temperature": 0.0}, {"temperature": float("inf")}, {"denominator": 0.0}, {"rows_per_chunk": 0}]
)
def test_arguments_that_can_not_be_meant_are_refused(keywords):
    with pytest.raises(UsageError, match=next(iter(keywords))):
        chunked(torch.randn(2, 3), Head(torch.randn(5, 3)), square, **keywords)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="do not fit"):
        chunked(torch.randn(2, 4), Head(torch.randn(5, 3)), square)
