"""Universal logit distillation: teacher and student need not share a tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from spiritsafe.distill.losses.chunked import chunked

if TYPE_CHECKING:
    from torch import Tensor

    from spiritsafe.distill.losses.types import Dense, Head, Value


def uld(
    hidden: Tensor,
    head: Head,
    teacher: Dense,
    *,
    temperature: float = 1.0,
    denominator: float | None = None,
    rows_per_chunk: int | None = None,
) -> Value:
    """Sum of |q_(i) - p_(i)| over both distributions sorted downwards, the shorter one filled up with zeros.

    It compares how sure the two are, not of what: use it beside ``sft``, on rows that ``shared_starts`` paired.
    It is the Wasserstein-1 distance for the cost 1 between any two tokens, minimised over matchings of the two
    vocabularies. With s_i the sign at the student's i-th token the gradient to the logits is q (s - sum q s), over
    the temperature. Source: Boizard et al. 2024, "Towards Cross-Tokenizer Distillation", section 4.
    """

    def rows(z: Tensor, t: Tensor, work: Tensor, where: slice) -> tuple[Tensor, Tensor]:
        q = torch.softmax(z, -1, out=work[0])
        q_down, order = q.sort(-1, descending=True)
        p_down = t.softmax(-1).sort(-1, descending=True).values
        shared = min(q_down.shape[1], p_down.shape[1])
        left = p_down[:, shared:].sum(-1)
        q_down[:, :shared] -= p_down[:, :shared]
        loss = q_down.abs().sum(-1) + left
        slope = work[1].scatter_(1, order, q_down.sign_())
        mean = torch.mul(q, slope, out=work[2]).sum(-1, keepdim=True)
        return loss, slope.sub_(mean).mul_(q)

    return chunked(
        hidden,
        head,
        rows,
        teacher=teacher,
        temperature=temperature,
        denominator=denominator,
        rows_per_chunk=rows_per_chunk,
    )


def shared_starts(student: Sequence[int], teacher: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs (student's, teacher's) of positions at which both tokenizers begin a token at the same character.

    Takes the rising character offsets at which each text's tokens begin. Only there do both predict what comes next
    from the same text; the published loss pairs by position, which drifts apart after the first token that differs.
    Where several tokens begin at one character (bytes of one letter), the first of each is paired.
    """
    at: dict[int, int] = {}
    for j, offset in enumerate(teacher):
        at.setdefault(offset, j)
    pairs: list[tuple[int, int]] = []
    for i, offset in enumerate(student):
        if offset in at:
            pairs.append((i, at.pop(offset)))
    return pairs
