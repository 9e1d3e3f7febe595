"""Forward KL: the student covers all that the teacher might say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.distill.losses.chunked import chunked, same_vocabulary, softmax

if TYPE_CHECKING:
    from torch import Tensor

    from spiritsafe.distill.losses.types import Dense, Head, Value


def forward_kl(
    hidden: Tensor,
    head: Head,
    teacher: Dense,
    *,
    temperature: float = 1.0,
    denominator: float | None = None,
    rows_per_chunk: int | None = None,
) -> Value:
    """KL(p || q) in nats, p the teacher's and q the student's distribution, both at ``temperature``.

    The gradient to the logits is q - p, over the temperature; multiply the loss by its square to keep the gradient's
    size when it is mixed with another loss (Hinton et al. 2015, section 2).
    """

    def rows(z: Tensor, t: Tensor, work: Tensor, where: slice) -> tuple[Tensor, Tensor]:
        (q, log_sum_q), (p, log_sum_p) = softmax(z, work[0]), softmax(t, work[1])
        loss = t.sub_(z).mul_(p).sum(-1) + (log_sum_q - log_sum_p).squeeze(1)
        return loss, q.sub_(p)

    return chunked(
        hidden,
        head,
        rows,
        teacher=same_vocabulary(teacher, head),
        temperature=temperature,
        denominator=denominator,
        rows_per_chunk=rows_per_chunk,
    )
