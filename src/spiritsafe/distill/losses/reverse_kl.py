"""Reverse KL: the student says only what the teacher would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spiritsafe.distill.losses.chunked import chunked, same_vocabulary, softmax

if TYPE_CHECKING:
    from torch import Tensor

    from spiritsafe.distill.losses.types import Dense, Head, Value


def reverse_kl(
    hidden: Tensor,
    head: Head,
    teacher: Dense,
    *,
    temperature: float = 1.0,
    denominator: float | None = None,
    rows_per_chunk: int | None = None,
) -> Value:
    """KL(q || p) in nats, q the student's and p the teacher's distribution, both at ``temperature``.

    The gradient to the logits is q * (log q - log p - KL), over the temperature. A token that the teacher never says
    (-inf) and the student does makes the loss 1e30 times the student's probability, in place of infinity.
    """

    def rows(z: Tensor, t: Tensor, work: Tensor, where: slice) -> tuple[Tensor, Tensor]:
        (q, log_sum_q), (_, log_sum_p) = softmax(z, work[0]), softmax(t, work[1])
        ratio = z.sub_(t)  # of log q and log p, up to a number that is the same for every token
        mean = torch.mul(q, ratio, out=work[1]).sum(-1, keepdim=True)
        loss = (mean - log_sum_q + log_sum_p).squeeze(1)
        return loss, ratio.sub_(mean).mul_(q)

    return chunked(
        hidden,
        head,
        rows,
        teacher=same_vocabulary(teacher, head),
        temperature=temperature,
        denominator=denominator,
        rows_per_chunk=rows_per_chunk,
    )
