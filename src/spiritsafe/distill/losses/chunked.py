"""Loss and gradients through the head, a chunk of positions at a time, in one pass.

The forward computes a chunk's logits, its loss, and at once the gradients to the hidden states and to the head, so
that nothing of the size positions x vocabulary outlives its chunk and nothing is computed twice: three products with
the head in all, which is what the plain form needs too. Inside a chunk the elementwise work runs on strips of a few
rows that stay in the processor's cache. (The idea of gradients in the forward: Hsu et al. 2024, "Liger Kernel",
section 3, fused linear cross-entropy.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol, cast

import torch

from spiritsafe.distill.losses.types import Dense, Head, Value
from spiritsafe.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

CHUNK_BYTES = 64 << 20  # one buffer of logits; two exist where the teacher's are dense
STRIP_BYTES = 512 << 10  # a strip and its scratch stay in a core's cache: two to three times faster than a chunk
LOWEST = -1e30  # stands for -inf in a teacher's logits: exp gives 0, and 0 times it is 0, not NaN


class RowLoss(Protocol):
    """The formula of one loss and its derivative, for a strip of rows."""

    def __call__(self, z: Tensor, t: Tensor, work: Tensor, where: slice) -> tuple[Tensor, Tensor]:
        """(loss (n,), its gradient to ``z`` (n, V)) for the rows ``where`` of the call.

        ``z`` holds the student's logits over the temperature, ``t`` the teacher's if they are dense. Both and
        ``work`` (3, n, V) may be written into, and any of them returned as the gradient: memory taken and given back
        for every strip would cost more in page faults than the arithmetic does.
        """
        ...


def chunked(
    hidden: Tensor,
    head: Head,
    row_loss: RowLoss,
    *,
    teacher: Dense | None = None,
    temperature: float = 1.0,
    denominator: float | None = None,
    rows_per_chunk: int | None = None,
) -> Value:
    """Sum ``row_loss`` over all rows of ``hidden`` (N, H), over ``denominator`` (N if not given), differentiable.

    With gradient accumulation pass the number of positions in the whole batch as ``denominator``: scaling the loss
    afterwards is right too, but costs a copy of the head's gradient. Products run in the dtype of ``hidden``, sums
    and softmaxes in float32 (float64 stays float64). An empty ``hidden`` gives 0 with zero gradients.
    Raises ``UsageError`` for arguments that can't be meant and ``InputError`` for shapes that don't fit.
    """
    _check(hidden, head, temperature, denominator, rows_per_chunk)
    plan = _Plan(row_loss, head, teacher, temperature, denominator or max(1, len(hidden)), rows_per_chunk)
    apply = cast("Callable[..., tuple[Tensor, Tensor]]", _Chunked.apply)
    return Value(*apply(hidden, head.weight, head.bias, plan))


def from_head(hidden: Tensor, head: Head) -> Dense:
    """The teacher's logits from its hidden states (N, Ht) and its own ``head``; Ht may differ from the student's.

    What it returns is overwritten by the next call: a fresh buffer for each chunk would cost its page faults.
    """
    matrix = head.weight.detach().to(hidden.dtype).T
    kept = hidden.new_empty(0, matrix.shape[1])

    @torch.no_grad()
    def logits(start: int, stop: int) -> Tensor:
        nonlocal kept
        if len(kept) < stop - start:
            kept = hidden.new_empty(stop - start, matrix.shape[1])
        with torch.autocast(hidden.device.type, enabled=False):
            out = torch.mm(hidden[start:stop].detach(), matrix, out=kept[: stop - start])
            return _finish(out, head) if _bends(head) else out

    return Dense(logits, head.weight.shape[0])


def softmax(z: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(z) (n, V), written to ``out``, and logsumexp(z) (n, 1), over the last axis.

    The likeliest token's probability is at least 1/V, so the second follows from it exactly enough, at a quarter of
    what ``log_softmax`` takes on a CPU.
    """
    q = torch.softmax(z, -1, out=out)
    return q, z.amax(-1, keepdim=True) - q.amax(-1, keepdim=True).log()


def same_vocabulary(teacher: Dense, head: Head) -> Dense:
    """``teacher`` itself, if its tokens are the student's; else ``InputError``: columns would mean other tokens."""
    if teacher.vocabulary != head.weight.shape[0]:
        raise InputError(
            f"the teacher has {teacher.vocabulary} tokens, the student's head {head.weight.shape[0]}",
            remedy="Use the cross-tokenizer loss (uld), or cut both heads to the tokenizer they share.",
        )
    return teacher


def check_ids(ids: Tensor, shape: tuple[int, ...], vocabulary: int, *, lowest: int = 0) -> None:
    """Raise ``InputError`` unless ``ids`` has ``shape`` and lies between ``lowest`` and the vocabulary."""
    if tuple(ids.shape[: len(shape)]) != shape:
        raise InputError(f"ids are {tuple(ids.shape)} for {shape[0]} positions", remedy="Select the same positions.")
    if ids.numel() and not lowest <= int(ids.min()) <= int(ids.max()) < vocabulary:
        raise InputError(
            f"token ids run from {int(ids.min())} to {int(ids.max())}, the student has 0 to {vocabulary - 1}",
            remedy="The tokens come from another tokenizer, or masked positions were left in: select the answer's.",
        )


class _Plan:
    """What stays the same over all chunks of one call."""

    def __init__(
        self,
        row_loss: RowLoss,
        head: Head,
        teacher: Dense | None,
        temperature: float,
        denominator: float,
        rows_per_chunk: int | None,
    ) -> None:
        self.row_loss = row_loss
        self.head = head
        self.teacher = teacher
        self.temperature = temperature
        self.denominator = denominator
        self.rows_per_chunk = rows_per_chunk

    def chunk(self, itemsize: int) -> int:
        if self.rows_per_chunk:
            return self.rows_per_chunk
        return max(8, CHUNK_BYTES // (self.head.weight.shape[0] * itemsize) // 8 * 8)

    def strip(self, device: torch.device, chunk: int) -> int:
        """On a CPU a few rows, one a thread at least; elsewhere the whole chunk, for launches cost more there."""
        if device.type != "cpu":
            return chunk
        return min(chunk, max(torch.get_num_threads(), STRIP_BYTES // (4 * self.head.weight.shape[0])))


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, hidden: Tensor, weight: Tensor, bias: Tensor | None, plan: _Plan
    ) -> tuple[Tensor, Tensor]:
        needs = cast("tuple[bool, ...]", ctx.needs_input_grad)  # type: ignore[attr-defined]
        with torch.autocast(hidden.device.type, enabled=False):
            rows, gradients = _run(hidden, weight, bias, plan, needs[:3])
        ctx.save_for_backward(*gradients)  # type: ignore[arg-type]  # None is allowed for what needs no gradient
        ctx.mark_non_differentiable(rows)
        return rows.sum() / plan.denominator, rows

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, *outer: Tensor) -> tuple[Tensor | None, ...]:
        # Multiplying by exactly 1 is skipped: it would copy the head's gradient, the largest tensor of the step.
        saved = cast("tuple[Tensor | None, ...]", ctx.saved_tensors)  # type: ignore[attr-defined]
        scale = outer[0]
        if float(scale) == 1.0:
            return (*saved, None)
        return (*(None if g is None else g * scale.to(g.dtype) for g in saved), None)


def _run(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, plan: _Plan, needs: tuple[bool, ...]
) -> tuple[Tensor, tuple[Tensor | None, Tensor | None, Tensor | None]]:
    n, dtype = len(hidden), hidden.dtype
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    matrix = weight.to(dtype)
    d_hidden = torch.empty_like(hidden) if needs[0] else None
    make = torch.empty if n else torch.zeros
    d_weight = make(weight.shape, dtype=exact, device=weight.device) if needs[1] else None
    d_bias = torch.zeros(weight.shape[0], dtype=exact, device=weight.device) if bias is not None and needs[2] else None
    rows = torch.zeros(n, dtype=exact, device=hidden.device)
    size = min(plan.chunk(dtype.itemsize), max(n, 1))
    buffer = torch.empty(size, weight.shape[0], dtype=dtype, device=hidden.device)
    strips = 4 if dtype == exact else 5
    work = torch.empty(strips, plan.strip(hidden.device, size), weight.shape[0], dtype=exact, device=hidden.device)
    for start in range(0, n, size):
        stop = min(start + size, n)
        part = hidden[start:stop]
        logits = torch.mm(part, matrix.T, out=buffer[: stop - start])
        _strips(logits, start, plan, rows, work)  # from here on ``logits`` holds the gradient to the raw logits
        if d_hidden is not None:
            torch.mm(logits, matrix, out=d_hidden[start:stop])
        if d_weight is not None:
            _add_outer(d_weight, logits, part, 1.0 / plan.denominator, fresh=start == 0)
        if d_bias is not None:
            d_bias += logits.sum(0, dtype=exact) / plan.denominator
    if d_hidden is not None:
        d_hidden /= plan.denominator
    return rows, (
        d_hidden,
        None if d_weight is None else d_weight.to(weight.dtype),
        None if d_bias is None else d_bias.to(weight.dtype),
    )


def _strips(logits: Tensor, start: int, plan: _Plan, rows: Tensor, work: Tensor) -> None:
    """Fill ``rows`` with the losses of this chunk and overwrite ``logits`` with the gradient to the head's output."""
    said = plan.teacher.logits(start, start + len(logits)) if plan.teacher else None
    head = plan.head
    for a in range(0, len(logits), work.shape[1]):
        raw = logits[a : a + work.shape[1]]
        n = len(raw)
        z = raw if raw.dtype == work.dtype else work[4, :n].copy_(raw)
        slope = None
        if _bends(head):
            z = _finish(z, head)
            slope = 1.0 - (z / head.softcap) ** 2 if head.softcap else None
        t = work[3, :n, :0]
        if said is not None:
            t = work[3, :n] if said.shape[1] == work.shape[2] else work.new_empty(n, said.shape[1])
            t.copy_(said[a : a + n]).clamp_(min=LOWEST)
        if plan.temperature != 1.0:
            z /= plan.temperature
            t /= plan.temperature
        where = slice(start + a, start + a + n)
        rows[where], dz = plan.row_loss(z, t, work[:3, :n], where)
        if slope is not None:
            dz *= slope
        if head.scale != plan.temperature:
            dz *= head.scale / plan.temperature
        if dz is not raw:
            raw.copy_(dz)


def _bends(head: Head) -> bool:
    return head.bias is not None or head.scale != 1.0 or head.softcap is not None


def _finish(logits: Tensor, head: Head) -> Tensor:
    """Bias, scale and cap, written into ``logits``."""
    if head.bias is not None:
        logits += head.bias.to(logits.dtype)
    if head.scale != 1.0:
        logits *= head.scale
    if head.softcap is not None:
        logits = logits.div_(head.softcap).tanh_().mul_(head.softcap)
    return logits


def _add_outer(total: Tensor, gradient: Tensor, part: Tensor, scale: float, *, fresh: bool) -> None:
    """total (V, H) += scale * gradient.T @ part, summed in the dtype of ``total`` however coarse the factors are.

    ``fresh`` overwrites ``total``, which then need not have been filled with zeros.
    """
    if total.dtype == gradient.dtype:
        total.addmm_(gradient.T, part, beta=0.0 if fresh else 1.0, alpha=scale)
        return
    block = max(1, CHUNK_BYTES // (4 * total.shape[1]))  # a few thousand tokens at a time: no second (V, H) matrix
    for a in range(0, len(total), block):
        product = torch.mm(gradient[:, a : a + block].T, part)
        if fresh:
            total[a : a + block].copy_(product).mul_(scale)
        else:
            total[a : a + block].add_(product, alpha=scale)


def _check(
    hidden: Tensor, head: Head, temperature: float, denominator: float | None, rows_per_chunk: int | None
) -> None:
    if hidden.ndim != 2 or head.weight.ndim != 2 or hidden.shape[1] != head.weight.shape[1]:
        raise InputError(
            f"hidden states {tuple(hidden.shape)} do not fit a head {tuple(head.weight.shape)}",
            remedy="Pass (positions, width) and (vocabulary, width).",
        )
    if not (temperature > 0 and math.isfinite(temperature)):
        raise UsageError(f"temperature is {temperature}", remedy="Give a number above 0.")
    if denominator is not None and not denominator > 0:
        raise UsageError(f"denominator is {denominator}", remedy="Give the number of positions of the whole batch.")
    if rows_per_chunk is not None and rows_per_chunk < 1:
        raise UsageError(f"rows_per_chunk is {rows_per_chunk}", remedy="Give at least 1, or leave it out.")
