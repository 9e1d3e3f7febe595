"""Keep an answer within a grammar, and have it whole before its tokens run out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spiritsafe.teach.detokenize import Pieces
from spiritsafe.teach.grammar import State, advance, ended, shortest
from spiritsafe.teach.types import Context, Stage


class Constrain:
    """Leaves only tokens that the grammar lets follow, from ``state`` on; then only an end token.

    The likeliest 64 tokens are looked at first, more only if none of them fits: so the choice is
    among those. A token is left out if too few would remain to make the answer whole (a byte a token
    is always enough); if the limit was too small from the start, the answer is cut as any other is.
    """

    stage: Stage = "logits"

    def __init__(self, state: State, pieces: Pieces, ends: frozenset[int], limit: int) -> None:
        self._state = state
        self._pieces = pieces
        self._ends = sorted(ends)
        self._limit = limit

    def __call__(self, logits: Tensor, context: Context) -> Tensor:
        state = advance(self._state, b"".join(self._pieces[token] for token in context.generated))
        if ended(state):
            return _only(logits, self._ends)
        left = self._limit - len(context.generated) - 1
        fallback: list[int] = []
        for size in (64, 1024, logits.numel()):
            tokens = torch.topk(logits, min(size, logits.numel())).indices.tolist()
            fitting = [(token, shortest(after)) for token in tokens if (after := self._after(state, token))]
            kept = [token for token, rest in fitting if rest <= left]
            if kept:
                return _only(logits, kept)
            fallback = fallback or [token for token, _ in fitting]
        return _only(logits, fallback)

    def _after(self, state: State, token: int) -> State:
        data = self._pieces[token]
        return advance(state, data) if data else ()


def _only(logits: Tensor, tokens: Sequence[int]) -> Tensor:
    index = torch.tensor(tokens, dtype=torch.long)
    return torch.full_like(logits, float("-inf")).index_copy_(0, index, logits[index])
