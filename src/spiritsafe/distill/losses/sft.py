"""Supervised fine-tuning: cross-entropy on the tokens the teacher gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.distill.losses.chunked import check_ids, chunked, softmax

if TYPE_CHECKING:
    from torch import Tensor

    from spiritsafe.distill.losses.types import Head, Tokens, Value


def sft(
    hidden: Tensor,
    head: Head,
    teacher: Tokens,
    *,
    temperature: float = 1.0,
    denominator: float | None = None,
    rows_per_chunk: int | None = None,
) -> Value:
    """-log q(token), in nats, with q the student's distribution at ``temperature``.

    The gradient to the logits is q - onehot(token), over the temperature.
    """
    check_ids(teacher.ids, (len(hidden),), head.weight.shape[0])

    def rows(z: Tensor, t: Tensor, work: Tensor, where: slice) -> tuple[Tensor, Tensor]:
        target = teacher.ids[where].long().unsqueeze(1)
        q, log_sum = softmax(z, work[0])
        loss = (log_sum - z.gather(1, target)).squeeze(1)
        return loss, q.scatter_add_(1, target, q.new_full(target.shape, -1.0))

    return chunked(hidden, head, rows, temperature=temperature, denominator=denominator, rows_per_chunk=rows_per_chunk)
