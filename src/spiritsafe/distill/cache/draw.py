"""Reducing a teacher's distribution to a few tokens: the likeliest, or an unbiased sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from spiritsafe.distill.cache.pack import Sample, Top

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

ROWS = 32  # positions at a time: their cumulative distribution is held in float64


def systematic(
    logits: Tensor, uniform: NDArray[np.float64], *, temperature: float, rounds: int, distinct: float
) -> Sample:
    """A sample of softmax(logits / temperature) (N, V) in which token i is drawn n * p_i times on average, exactly.

    n points, equally spaced from one random offset, are laid on the cumulative distribution, and each falls on a
    token: the count of token i is n * p_i rounded up or down. That is random-sampling KD (Anshumann et al. 2025) with
    systematic in place of independent draws: as unbiased, with far less variance, since no likely token is missed
    and none is drawn by luck twice as often. n is the largest number up to ``rounds`` for which ``distinct`` tokens
    or fewer are expected to be hit. It depends on the distribution alone, not on the draws, so nothing is biased.
    ``uniform`` (N,) holds the offsets, in [0, 1).
    """
    parts = [
        _systematic(logits[a : a + ROWS], uniform[a : a + ROWS], temperature, rounds, distinct)
        for a in range(0, len(logits), ROWS)
    ]
    if not parts:
        none, zero = np.zeros(0, np.int64), np.zeros(0, np.float32)
        return Sample(none, none, zero, none, none)
    return Sample(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def likeliest(logits: Tensor, *, temperature: float, k: int) -> Top:
    """The ``k`` likeliest tokens of softmax(logits / temperature) (N, V), all if k > V, and their logprobs over V."""
    k = min(k, logits.shape[1])
    log_p = (logits.float() / temperature).log_softmax(-1)
    values, ids = log_p.topk(k, -1)
    return Top(
        np.full(len(logits), k, dtype=np.int64),
        ids.flatten().cpu().numpy(),
        values.flatten().float().cpu().numpy(),
    )


def _systematic(
    logits: Tensor, uniform: NDArray[np.float64], temperature: float, rounds: int, distinct: float
) -> Sample:
    p = (logits.double() / temperature).softmax(-1)
    n = _rounds(p, rounds, distinct)
    edge = p.cumsum(-1)
    edge = edge / edge[:, -1:]
    steps = torch.arange(rounds, device=p.device)
    # 1 - uniform lies in (0, 1]: no point falls on the left edge, where a token of probability 0 could stand.
    offset = torch.from_numpy(1.0 - uniform).to(p)
    points = (steps + offset.unsqueeze(1)) / n.unsqueeze(1)
    hit = torch.searchsorted(edge, points.clamp(max=1.0)).clamp(max=p.shape[1] - 1)
    valid = (steps < n.unsqueeze(1)).cpu().numpy()
    token = hit.cpu().numpy()[valid]
    row = np.nonzero(valid)[0]
    first = np.ones(len(token), dtype=bool)
    first[1:] = (token[1:] != token[:-1]) | (row[1:] != row[:-1])
    at = np.flatnonzero(first)
    return Sample(
        lengths=np.bincount(row[at], minlength=len(p)).astype(np.int64),
        rounds=n.cpu().numpy(),
        entropy=torch.special.entr(p).sum(-1).float().cpu().numpy(),
        ids=token[at].astype(np.int64),
        counts=np.diff(at, append=len(token)).astype(np.int64),
    )


def _rounds(p: Tensor, rounds: int, distinct: float) -> Tensor:
    """The largest n <= ``rounds`` with sum_i min(1, n p_i) <= ``distinct``, for each row; at least 1.

    Tokens of p_i >= 1/n are hit for certain and number at most n, so the ``rounds`` likeliest tell.
    """
    top = p.topk(min(rounds, p.shape[1]), -1).values
    below = torch.cat([torch.ones_like(top[:, :1]), 1.0 - top.cumsum(-1)], -1).clamp(min=0.0)
    n = torch.arange(1, rounds + 1, device=p.device)
    certain = (top.unsqueeze(1) * n.view(1, -1, 1) >= 1.0).sum(-1)
    expected = certain + n * below.gather(1, certain)
    return (expected <= distinct + 1e-9).sum(-1).clamp(min=1)
