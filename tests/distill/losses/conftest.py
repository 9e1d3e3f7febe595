"""The battery that every loss goes through, against its plain form in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from spiritsafe.distill.losses.types import Head, Loss, Teacher, Value


@dataclass(frozen=True)
class Case:
    """``plain(logits, teacher, vocabulary)`` gives (N,) from logits (N, V) already over the temperature;
    ``teach(n, v, temperature, generator, dtype)`` makes what the teacher said.
    """

    loss: Loss
    plain: Callable[[Tensor, Any], Tensor]
    teach: Callable[[int, int, float, torch.Generator, torch.dtype], Teacher]
    keywords: dict[str, Any]
    coarse: float = 0.03  # how far a gradient in bf16 may be from the exact one, of its length

    def run(self, hidden: Tensor, head: Head, teacher: Teacher, **more: Any) -> Value:
        return self.loss(hidden, head, teacher, **self.keywords, **more)

    def expect(self, hidden: Tensor, head: Head, teacher: Teacher, temperature: float = 1.0) -> Tensor:
        logits = hidden @ head.weight.T
        if head.bias is not None:
            logits = logits + head.bias
        logits = logits * head.scale
        if head.softcap is not None:
            logits = head.softcap * torch.tanh(logits / head.softcap)
        return self.plain(logits / temperature, teacher)


def inputs(n: int, v: int, h: int, seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    hidden, weight, bias = torch.randn(n, h, generator=g), torch.randn(v, h, generator=g), torch.randn(v, generator=g)
    return tuple(x.to(dtype).requires_grad_() for x in (hidden, weight, bias))  # type: ignore[return-value]


def teacher_of(case: Case, n: int, v: int, *, temperature: float = 1.0, dtype: torch.dtype = torch.float64) -> Teacher:
    return case.teach(n, v, temperature, torch.Generator().manual_seed(7 * n + v), dtype)


def equals_the_plain_form(case: Case) -> None:
    for scale, softcap, temperature in ((1.0, None, 1.0), (0.5, 3.0, 1.7), (1.0, None, 0.6)):
        teacher = teacher_of(case, 9, 13, temperature=temperature)
        a, b = inputs(9, 13, 5, 1), inputs(9, 13, 5, 1)
        ours = case.run(a[0], Head(a[1], a[2], scale, softcap), teacher, temperature=temperature, rows_per_chunk=4)
        rows = case.expect(b[0], Head(b[1], b[2], scale, softcap), teacher, temperature)
        (ours.loss * 3.0).backward()
        (rows.mean() * 3.0).backward()
        torch.testing.assert_close(ours.rows, rows.detach(), rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(ours.loss, rows.mean(), rtol=1e-9, atol=1e-11)
        for x, y in zip(a, b, strict=True):
            torch.testing.assert_close(x.grad, y.grad, rtol=1e-8, atol=1e-11)


def passes_gradcheck(case: Case) -> None:
    teacher = teacher_of(case, 4, 7, temperature=1.3)

    def scalar(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return case.run(hidden, Head(weight, bias, 0.9, 4.0), teacher, temperature=1.3, rows_per_chunk=3).loss

    assert torch.autograd.gradcheck(scalar, inputs(4, 7, 3, 2))


def chunk_size_changes_nothing(case: Case) -> None:
    teacher, results = teacher_of(case, 11, 17), []
    for size in (1, 2, 5, 11, 100, None):
        hidden, weight, _ = inputs(11, 17, 6, 3)
        value = case.run(hidden, Head(weight), teacher, rows_per_chunk=size)
        value.loss.backward()
        results.append((value.loss.detach(), value.rows, hidden.grad, weight.grad))
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-12, atol=1e-14)


def no_position_gives_zero(case: Case) -> None:
    hidden, weight, _ = inputs(0, 8, 4, 4)
    value = case.run(hidden, Head(weight), teacher_of(case, 0, 8))
    value.loss.backward()
    assert value.loss.item() == 0.0
    assert value.rows.shape == (0,)
    assert weight.grad is not None
    assert not weight.grad.any()


def works_in_bf16(case: Case) -> None:
    hidden, weight, _ = inputs(24, 50, 16, 5, torch.bfloat16)
    exact = [x.detach().double().requires_grad_() for x in (hidden, weight)]
    head = Head(weight, scale=0.5)
    value = case.run(hidden, head, teacher_of(case, 24, 50, dtype=torch.float32), rows_per_chunk=5)
    value.loss.backward()
    rows = case.expect(exact[0], Head(exact[1], scale=0.5), teacher_of(case, 24, 50))
    rows.mean().backward()
    assert value.loss.dtype == torch.float32  # summed beyond bf16
    torch.testing.assert_close(value.rows.double(), rows.detach(), rtol=0.03, atol=0.03)
    for x, y in zip((hidden, weight), exact, strict=True):
        assert x.grad is not None
        assert y.grad is not None
        assert x.grad.dtype == torch.bfloat16
        apart = (x.grad.double() - y.grad).norm() / y.grad.norm()
        assert apart < case.coarse


def a_frozen_side_gets_no_gradient(case: Case) -> None:
    teacher = teacher_of(case, 6, 9)
    hidden, weight, _ = inputs(6, 9, 4, 6)
    case.run(hidden, Head(weight), teacher).loss.backward()
    for frozen in (0, 1):
        parts = [x.detach().clone().requires_grad_(i != frozen) for i, x in enumerate((hidden, weight))]
        case.run(parts[0], Head(parts[1]), teacher).loss.backward()
        assert parts[frozen].grad is None
        torch.testing.assert_close(parts[1 - frozen].grad, (hidden, weight)[1 - frozen].grad)
    with torch.no_grad():
        assert not case.run(hidden, Head(weight), teacher).loss.requires_grad


def the_denominator_divides_value_and_gradient(case: Case) -> None:
    teacher = teacher_of(case, 6, 9)
    a, b = inputs(6, 9, 4, 7), inputs(6, 9, 4, 7)
    whole = case.run(a[0], Head(a[1]), teacher, denominator=60.0).loss
    mean = case.run(b[0], Head(b[1]), teacher).loss
    torch.testing.assert_close(whole * 10.0, mean)
    whole.backward(retain_graph=True)
    whole.backward()  # a second pass over the same graph adds the same again
    (mean / 5.0).backward()
    torch.testing.assert_close((a[0].grad, a[1].grad), (b[0].grad, b[1].grad))


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation made."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, tuple | list) else (out,):
            if isinstance(x, Tensor):
                self.numel = max(self.numel, x.numel())
        return out


def no_matrix_exceeds_a_chunk(case: Case) -> None:
    n, v, h = 128, 40, 3
    teacher = teacher_of(case, n, v)
    hidden, weight, _ = inputs(n, v, h, 8)
    with Largest() as largest:
        case.run(hidden, Head(weight), teacher, rows_per_chunk=8).loss.backward()
    # A chunk of 8 rows, and five strips of as many.
    assert largest.numel <= 5 * 8 * max(v, getattr(teacher, "vocabulary", v))


def any_shape_equals_the_plain_form(case: Case) -> None:
    @settings(max_examples=25, deadline=None)
    @given(n=st.integers(1, 9), v=st.integers(4, 12), h=st.integers(1, 6), rows=st.integers(1, 10), seed=st.integers(0))
    def holds(n: int, v: int, h: int, rows: int, seed: int) -> None:
        teacher = teacher_of(case, n, v)
        a, b = inputs(n, v, h, seed % 2**31), inputs(n, v, h, seed % 2**31)
        value = case.run(a[0], Head(a[1], a[2]), teacher, rows_per_chunk=rows)
        value.loss.backward()
        case.expect(b[0], Head(b[1], b[2]), teacher).mean().backward()
        for x, y in zip(a, b, strict=True):
            torch.testing.assert_close(x.grad, y.grad, rtol=1e-7, atol=1e-10)

    holds()


CHECKS = (
    equals_the_plain_form,
    passes_gradcheck,
    chunk_size_changes_nothing,
    no_position_gives_zero,
    works_in_bf16,
    a_frozen_side_gets_no_gradient,
    the_denominator_divides_value_and_gradient,
    no_matrix_exceeds_a_chunk,
    any_shape_equals_the_plain_form,
)


@pytest.fixture(params=CHECKS, ids=lambda check: check.__name__)
def conforms(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``conforms(loss, plain, teach, **keywords)`` runs one check of the battery."""

    def check(loss: Loss, plain: Any, teach: Any, *, coarse: float = 0.03, **keywords: Any) -> None:
        request.param(Case(loss, plain, teach, keywords, coarse))

    return check


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def dense() -> Callable[..., Any]:
    """Makes a dense teacher of random logits; the plain forms ask it for all rows at once."""
    from spiritsafe.distill.losses.types import Dense

    def teach(n: int, v: int, temperature: float, g: torch.Generator, dtype: torch.dtype) -> Dense:
        logits = (2.0 * torch.randn(n, v, generator=g)).to(dtype)
        return Dense(lambda start, stop: logits[start:stop], v)

    return teach
