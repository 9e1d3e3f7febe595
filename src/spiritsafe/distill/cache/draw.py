"""Reducing a teacher's distribution to a few tokens: the likeliest, or an unbiased sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from spiritsafe.distill.cache.pack import Sample, Top

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

ROWS = 32  # positions at a time
BLOCK = 128  # tokens whose mass and largest member are looked at together
LOWEST = -1e30  # stands for -inf: its probability is 0, and 0 times it is 0
TOKEN_BYTES = 4  # what a position takes besides its entries


def systematic(
    logits: Tensor, uniform: NDArray[np.float64], *, temperature: float, rounds: int, distinct: float
) -> Sample:
    """A sample of softmax(logits / temperature) (N, V) in which token i is drawn n * p_i times on average, exactly.

    n points, equally spaced from one random offset, are laid on the cumulative distribution, and each falls on a
    token: the count of token i is n * p_i rounded up or down. That is random-sampling KD (Anshumann et al. 2025) with
    systematic in place of independent draws: as unbiased, with less variance at as many bytes, since no likely token
    is missed and none is drawn by luck twice as often. n is the largest number up to ``rounds`` for which ``distinct``
    tokens or fewer are expected to be hit. It depends on the distribution alone, not on the draws, so nothing is
    biased. ``uniform`` (N,) holds the offsets, in [0, 1).
    """
    parts = [
        _systematic(_masses(logits[a : a + ROWS], temperature, rounds), uniform[a : a + ROWS], rounds, distinct)
        for a in range(0, len(logits), ROWS)
    ]
    if not parts:
        none, zero = np.zeros(0, np.int64), np.zeros(0, np.float32)
        return Sample(none, none, zero, none, none)
    return Sample(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def likeliest(logits: Tensor, *, temperature: float, k: int) -> Top:
    """The ``k`` likeliest tokens of softmax(logits / temperature) (N, V), all if k > V, and their logprobs over V."""
    k = min(k, logits.shape[1])
    z = logits.float() / temperature
    values, ids = z.topk(k, -1)
    values = values - z.logsumexp(-1, keepdim=True)
    return Top(np.full(len(logits), k, dtype=np.int64), ids.flatten().cpu().numpy(), values.flatten().cpu().numpy())


def distinct_for(logits: Tensor, bytes_per_token: float, *, temperature: float, rounds: int, entry: int) -> float:
    """The largest ``distinct`` at which positions such as these (N, V) take ``bytes_per_token`` on average, the rows'
    frame left out; ``entry`` is 3, or 4 for a wide vocabulary. Sure positions leave room for unsure ones.

    Take it from a part of the data before the cache is begun: then it depends on no draw, and nothing is biased.
    """
    found = 1.0
    parts = [_masses(logits[a : a + ROWS], temperature, rounds) for a in range(0, len(logits), ROWS)]
    for distinct in range(2, rounds + 1):
        expected = np.concatenate([_rounds(m, rounds, distinct)[1] for m in parts]) if parts else np.zeros(1)
        if TOKEN_BYTES + entry * float(expected.mean()) > bytes_per_token:
            break
        found = float(distinct)
    return found


class _Masses(NamedTuple):
    """One chunk's distribution, its likely tokens (p >= 1 / rounds) apart.

    ``likely`` (n, K) probabilities falling, 0 where a row has fewer, with their ``ids``; ``rest`` (n, B, BLOCK) the
    other tokens' probabilities and ``edge`` (n, B) their cumulative mass by block, in float64; ``entropy`` (n,).
    """

    likely: Tensor
    ids: Tensor
    rest: Tensor
    edge: Tensor
    entropy: Tensor


def _masses(logits: Tensor, temperature: float, rounds: int) -> _Masses:
    n, v = logits.shape
    z = (logits.float() / temperature).clamp_(min=LOWEST)
    z = torch.nn.functional.pad(z, (0, -v % BLOCK), value=LOWEST)
    p = z.softmax(-1)
    log_sum = z.amax(-1) - p.amax(-1).log()
    entropy = log_sum - z.mul_(p).sum(-1)
    rest = p.view(n, -1, BLOCK)
    row, block = (rest.amax(-1) >= 1.0 / rounds).nonzero(as_tuple=True)
    inside, offset = (rest[row, block] >= 1.0 / rounds).nonzero(as_tuple=True)
    row, token = row[inside], block[inside] * BLOCK + offset
    values = p[row, token].double()
    width = int(torch.bincount(row, minlength=1).max()) if len(row) else 0
    likely = torch.zeros(n, max(1, width), dtype=torch.float64, device=p.device)
    ids = torch.zeros_like(likely, dtype=torch.int64)
    order = torch.argsort(row.double() * 2.0 - values)  # by row, then from the likeliest down
    row, token, values = row[order], token[order], values[order]
    first = torch.searchsorted(row, row)
    place = torch.arange(len(row), device=p.device) - first
    likely[row, place], ids[row, place] = values, token
    p[row, token] = 0.0
    return _Masses(likely, ids, rest, rest.sum(-1).double().cumsum(-1), entropy.clamp_(min=0.0))


def _systematic(masses: _Masses, uniform: NDArray[np.float64], rounds: int, distinct: float) -> Sample:
    n = torch.from_numpy(_rounds(masses, rounds, distinct)[0]).to(masses.edge.device)
    steps = torch.arange(rounds, device=n.device)
    edge = masses.likely.cumsum(-1)
    whole = edge[:, -1:] + masses.edge[:, -1:]
    # 1 - uniform lies in (0, 1]: no point falls on a left edge, where a token of probability 0 could stand.
    offset = torch.from_numpy(1.0 - uniform).to(edge)
    points = (steps + offset.unsqueeze(1)) / n.unsqueeze(1) * whole
    hit = masses.ids.gather(1, torch.searchsorted(edge, points).clamp(max=edge.shape[1] - 1))
    valid = steps < n.unsqueeze(1)
    row, column = (valid & (points > edge[:, -1:])).nonzero(as_tuple=True)
    hit[row, column] = _in_rest(masses, row, points[row, column] - edge[row, -1])
    return _counted(hit.cpu().numpy(), valid.cpu().numpy(), n.cpu().numpy(), masses.entropy.cpu().numpy())


def _in_rest(masses: _Masses, row: Tensor, point: Tensor) -> Tensor:
    """The tokens at which the cumulative mass of ``rest`` reaches ``point`` in ``row``: the block, then inside it."""
    edges = masses.edge[row]
    point = torch.minimum(point, edges[:, -1])  # rounding may have carried the last point past the end
    block = torch.searchsorted(edges, point.unsqueeze(1)).clamp(max=edges.shape[1] - 1).squeeze(1)
    before = torch.where(block > 0, edges.gather(1, (block - 1).clamp(min=0).unsqueeze(1)).squeeze(1), 0.0)
    inner = masses.rest[row, block].double().cumsum(-1)
    tiny = torch.finfo(torch.float64).tiny
    inside = torch.minimum((point - before).clamp(min=tiny), inner[:, -1])
    return block * BLOCK + torch.searchsorted(inner, inside.unsqueeze(1)).squeeze(1).clamp(max=BLOCK - 1)


def _rounds(masses: _Masses, rounds: int, distinct: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The largest n <= ``rounds`` with sum_i min(1, n p_i) <= ``distinct`` for each row, at least 1, and that sum.

    Tokens of p_i >= 1/n are hit for certain; all of them are among the likely.
    """
    likely = masses.likely
    below = torch.cat([torch.zeros_like(likely[:, :1]), likely.cumsum(-1)], -1)
    below = (below[:, -1:] + masses.edge[:, -1:] - below).clamp(min=0.0)
    n = torch.arange(1, rounds + 1, device=likely.device)
    certain = (likely.unsqueeze(1) * n.view(1, -1, 1) >= 1.0).sum(-1)
    expected = certain + n * below.gather(1, certain)
    chosen = (expected <= distinct + 1e-9).sum(-1).clamp(min=1)
    return chosen.cpu().numpy(), expected.gather(1, (chosen - 1).unsqueeze(1)).squeeze(1).cpu().numpy()


def _counted(
    hit: NDArray[np.int64], valid: NDArray[np.bool_], rounds: NDArray[np.int64], entropy: NDArray[np.float32]
) -> Sample:
    """Runs of equal tokens as one entry with a count."""
    token, row = hit[valid], np.nonzero(valid)[0]
    first = np.ones(len(token), dtype=bool)
    first[1:] = (token[1:] != token[:-1]) | (row[1:] != row[:-1])
    at = np.flatnonzero(first)
    return Sample(
        lengths=np.bincount(row[at], minlength=len(hit)).astype(np.int64),
        rounds=rounds,
        entropy=entropy,
        ids=token[at].astype(np.int64),
        counts=np.diff(at, append=len(token)).astype(np.int64),
    )
