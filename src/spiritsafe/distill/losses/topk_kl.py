"""KL to a teacher of whom only the k likeliest tokens are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from spiritsafe.distill.losses.chunked import check_ids, chunked, softmax
from spiritsafe.errors import InputError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from spiritsafe.distill.losses.types import Head, TopK, Value

Tail = Literal["bucket", "renormalise"]


def topk_kl(
    hidden: Tensor,
    head: Head,
    teacher: TopK,
    *,
    tail: Tail = "bucket",
    temperature: float = 1.0,
    denominator: float | None = None,
    rows_per_chunk: int | None = None,
) -> Value:
    """KL(p || q) in nats over the k known tokens and what ``tail`` makes of the rest; always biased.

    ``bucket``: all other tokens are one event with the mass r that the k leave. The loss is then a lower bound of the
    full KL (data processing); the mass outside the k is right, its split among tokens is whatever the student has:
    the gradient misses r times (student's split - teacher's split) there.
    ``renormalise``: the k are taken for all there is, p_i / (1 - r), as most caches do. The gradient then takes the
    whole tail away from the student: the target is r in total variation from the teacher, and the student grows
    surer than its teacher.
    ``temperature`` bends the student alone: the logprobs must have been taken at the same one.
    """
    if tail not in ("bucket", "renormalise"):
        raise UsageError(f"tail is {tail!r}", remedy="Valid values: bucket, renormalise.")
    _check(hidden, head, teacher)

    def rows(z: Tensor, t: Tensor, work: Tensor, where: slice) -> tuple[Tensor, Tensor]:
        ids = teacher.ids[where].long()
        known = ids >= 0
        # A place that is not used repeats the row's first id, with no weight, so that every index is valid.
        index = torch.where(known, ids, ids[:, :1].clamp(min=0))
        p = torch.where(known, teacher.logprobs[where].to(z.dtype), z.new_tensor(-torch.inf)).exp_()
        p = p / p.sum(-1, keepdim=True).clamp(min=1.0 if tail == "bucket" else torch.finfo(p.dtype).tiny)
        return _renormalised(z, work, index, p) if tail == "renormalise" else _bucketed(z, work, index, known, p)

    return chunked(hidden, head, rows, temperature=temperature, denominator=denominator, rows_per_chunk=rows_per_chunk)


def _renormalised(z: Tensor, work: Tensor, index: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    q, log_sum = softmax(z, work[0])
    loss = (torch.xlogy(p, p) - p * (z.gather(1, index) - log_sum)).sum(-1)
    # The mass is 1, or 0 in a row that knows no token: it says nothing, so there is no gradient.
    return loss, q.mul_(p.sum(-1, keepdim=True)).scatter_add_(1, index, -p)


def _bucketed(z: Tensor, work: Tensor, index: Tensor, known: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    at_first = z.gather(1, index[:, :1])
    at_k = torch.where(known, z.gather(1, index), -torch.inf)
    # The tail's own log-sum, not log(1 - sum of the k): that would cancel when the student is sure. An unused place
    # shares the index of the first, so the first is written again, alone.
    rest = z
    rest.scatter_(1, index, torch.where(known, -torch.inf, at_first))
    rest.scatter_(1, index[:, :1], torch.where(known[:, :1], -torch.inf, at_first))
    inside, log_rest = _softmax_or_nothing(rest, work[0])
    r = torch.where(torch.isfinite(log_rest), (1.0 - p.sum(-1)).clamp(min=0.0), 0.0)
    log_all = torch.logaddexp(log_rest, at_k.logsumexp(-1))
    log_q_k = torch.where(known, at_k - log_all.unsqueeze(1), 0.0)
    log_q_rest = torch.where(r > 0, log_rest - log_all, 0.0)
    loss = (torch.xlogy(p, p) - p * log_q_k).sum(-1) + torch.xlogy(r, r) - r * log_q_rest
    q_rest = (log_rest - log_all).exp()
    step = torch.where(known, log_q_k.exp() - p, 0.0)
    return loss, inside.mul_((q_rest - r).unsqueeze(1)).scatter_add_(1, index, step)


def _softmax_or_nothing(rest: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax (n, V) and log-sum (n,) of the tail; where every token is known the tail is empty: 0 and -inf."""
    inside, log_sum = softmax(rest, out)
    return inside.nan_to_num_(0.0), log_sum.squeeze(1).nan_to_num_(nan=-torch.inf, neginf=-torch.inf)


def _check(hidden: Tensor, head: Head, teacher: TopK) -> None:
    ids = teacher.ids
    check_ids(ids, (len(hidden),), head.weight.shape[0], lowest=-1)
    if ids.ndim != 2 or ids.shape != teacher.logprobs.shape or ids.shape[1] == 0:
        raise InputError(
            f"ids {tuple(ids.shape)} and logprobs {tuple(teacher.logprobs.shape)} differ",
            remedy="Pass both as (positions, k), k at least 1.",
        )
    ordered = ids.sort(-1).values
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(-1)
    gap = ((ids[:, 1:] >= 0) & (ids[:, :-1] < 0)).any(-1)
    for wrong, what in ((twice, "names a token twice"), (gap, "has a -1 before a token")):
        if bool(wrong.any()):
            raise InputError(
                f"position {int(wrong.nonzero()[0])} {what}",
                remedy="Give each token once, and fill a short row up with -1 at its end.",
            )
