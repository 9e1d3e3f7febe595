"""KL to a teacher of whom a random sparse sample was kept: unbiased at a few tokens a position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.distill.losses.chunked import check_ids, chunked, softmax
from spiritsafe.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from spiritsafe.distill.losses.types import Head, Sampled, Value

SUM_TOLERANCE = 1e-3


def sampled_kl(
    hidden: Tensor,
    head: Head,
    teacher: Sampled,
    *,
    temperature: float = 1.0,
    denominator: float | None = None,
    rows_per_chunk: int | None = None,
) -> Value:
    """-sum_i w_i log q(i) - H(p) in nats, w the sampled weights, whose mean is the teacher's distribution p.

    The gradient to the logits is q - w: its mean over the sampling is that of the full forward KL, q - p. The value's
    mean is the full KL as well, so a single one may be negative; without the teacher's entropy H(p) it is the
    cross-entropy. ``temperature`` bends the student alone: the sample must have been drawn at the same one.
    Source: Anshumann et al. 2025, "Sparse Logit Sampling" (ACL), Random Sampling KD with proposal p itself, so that
    a token drawn c times in n rounds has weight c / n.
    """
    _check(hidden, head, teacher)

    def rows(z: Tensor, t: Tensor, work: Tensor, where: slice) -> tuple[Tensor, Tensor]:
        ids, w = teacher.ids[where].long(), teacher.weights[where].to(z.dtype)
        q, log_sum = softmax(z, work[0])
        loss = (w * (log_sum - z.gather(1, ids))).sum(-1)
        if teacher.entropy is not None:
            loss = loss - teacher.entropy[where].to(z.dtype)
        return loss, q.scatter_add_(1, ids, -w)

    return chunked(hidden, head, rows, temperature=temperature, denominator=denominator, rows_per_chunk=rows_per_chunk)


def _check(hidden: Tensor, head: Head, teacher: Sampled) -> None:
    check_ids(teacher.ids, (len(hidden),), head.weight.shape[0])
    if teacher.ids.ndim != 2 or teacher.ids.shape != teacher.weights.shape:
        raise InputError(
            f"ids {tuple(teacher.ids.shape)} and weights {tuple(teacher.weights.shape)} differ",
            remedy="Pass both as (positions, k).",
        )
    sums = teacher.weights.double().sum(-1)
    wrong = ((sums - 1.0).abs() > SUM_TOLERANCE).nonzero()
    if len(wrong):
        first = int(wrong[0])
        raise InputError(
            f"the weights of position {first} sum to {float(sums[first]):.4g}",
            remedy="Weights are counts over rounds and sum to 1: read them with the cache's reader.",
        )
