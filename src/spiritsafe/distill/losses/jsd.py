"""Generalised Jensen-Shannon divergence: between forward and reverse KL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spiritsafe.distill.losses.chunked import chunked, same_vocabulary, softmax
from spiritsafe.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from spiritsafe.distill.losses.types import Dense, Head, Value

SMALLEST = 1e-37  # below it log gives -inf in float32; a token this rare in both adds nothing to the sum


def jsd(
    hidden: Tensor,
    head: Head,
    teacher: Dense,
    *,
    beta: float = 0.5,
    temperature: float = 1.0,
    denominator: float | None = None,
    rows_per_chunk: int | None = None,
) -> Value:
    """beta KL(p || m) + (1 - beta) KL(q || m) in nats, m = beta p + (1 - beta) q, p teacher and q student.

    Near 0 its direction is the forward KL's, near 1 the reverse's; at the ends it is 0 itself, so they are refused.
    The gradient to the logits is (1 - beta) q (log q - log m - KL(q || m)), over the temperature.
    Source: Agarwal et al. 2024, "On-Policy Distillation of Language Models" (GKD), section 2.
    """
    if not 0.0 < beta < 1.0:
        raise UsageError(f"beta is {beta}", remedy="Give one between 0 and 1; the ends are forward_kl and reverse_kl.")

    def rows(z: Tensor, t: Tensor, work: Tensor, where: slice) -> tuple[Tensor, Tensor]:
        (q, log_sum_q), (p, log_sum_p) = softmax(z, work[0]), softmax(t, work[1])
        log_m = torch.mul(p, beta, out=work[2]).add_(q, alpha=1.0 - beta).clamp_(min=SMALLEST).log_()
        toward_p = t.sub_(log_m).mul_(p).sum(-1, keepdim=True) - log_sum_p
        ratio = z.sub_(log_m)  # log q - log m, up to log_sum_q
        mean = torch.mul(q, ratio, out=work[2]).sum(-1, keepdim=True)
        loss = beta * toward_p + (1.0 - beta) * (mean - log_sum_q)
        return loss.squeeze(1), ratio.sub_(mean).mul_(q).mul_(1.0 - beta)

    return chunked(
        hidden,
        head,
        rows,
        teacher=same_vocabulary(teacher, head),
        temperature=temperature,
        denominator=denominator,
        rows_per_chunk=rows_per_chunk,
    )
