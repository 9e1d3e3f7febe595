"""What the teacher says about a batch, in the form that the loss takes: tokens, or live distributions.

Cached distributions are read by ``distill.cache``; this is for what needs no cache.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spiritsafe.distill.batches import Batch, ChatTokenizer, Example, collate
from spiritsafe.distill.losses.chunked import from_head
from spiritsafe.distill.losses.types import Teacher, Tokens
from spiritsafe.distill.losses.uld import shared_starts
from spiritsafe.distill.student import body, head_of
from spiritsafe.errors import InputError


class Target(NamedTuple):
    """``select`` (n,) indexes the batch's N answer places that the teacher speaks about, None for all of them."""

    teacher: Teacher
    select: Tensor | None = None


class Targets(Protocol):
    """``targets(batch)``: what the loss compares the student with, place by place."""

    def __call__(self, batch: Batch) -> Target: ...


def tokens(batch: Batch) -> Target:
    """The tokens that the teacher gave."""
    return Target(Tokens(batch.labels))


def frozen(model: PreTrainedModel) -> PreTrainedModel:
    """The same model, set to score: no dropout, no gradients."""
    nn.Module.eval(model)
    model.requires_grad_(False)
    return model


class Live:
    """The teacher's own distribution at every answer place, from a forward pass over the same tokens."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = frozen(model)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Target:
        vocabulary = self._model.config.vocab_size
        if int(batch.ids.max()) >= vocabulary:
            raise InputError(
                f"the batch holds token {int(batch.ids.max())}, the teacher has {vocabulary}",
                remedy="Teacher and student need one tokenizer here; for two, set train.loss to uld and align to true.",
            )
        hidden = body(self._model)(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
        return Target(from_head(hidden[batch.rows, batch.columns], head_of(self._model)))


class Aligned:
    """A teacher with another tokenizer: it reads the same conversations in its own tokens, and is compared with the
    student where tokens of both begin at the same character of the answer (``losses.uld.shared_starts``).
    """

    def __init__(self, model: PreTrainedModel, examples: dict[str, Example], pad: int) -> None:
        """``examples`` are the rows in the teacher's tokens, by key."""
        self._model = frozen(model)
        self._examples = examples
        self._pad = pad

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Target:
        own = collate([self._examples[e.key] for e in batch.examples], self._pad, batch.ids.device)
        hidden = body(self._model)(input_ids=own.ids, attention_mask=own.mask, use_cache=False).last_hidden_state
        mine: list[int] = []
        theirs: list[int] = []
        at_mine = at_theirs = 0
        for left, right in zip(batch.examples, own.examples, strict=True):
            for i, j in shared_starts(left.offsets, right.offsets):
                mine.append(at_mine + i)
                theirs.append(at_theirs + j)
            at_mine += left.answer
            at_theirs += right.answer
        places = torch.tensor(theirs, device=batch.ids.device)
        chosen = hidden[own.rows[places], own.columns[places]]
        return Target(from_head(chosen, head_of(self._model)), torch.tensor(mine, device=batch.ids.device))


def same_tokens(student: ChatTokenizer, teacher: ChatTokenizer) -> bool:
    """Whether two tokenizers give every token the same number, so that columns of logits mean the same."""
    vocabularies = [getattr(t, "get_vocab")() for t in (student, teacher)]  # noqa: B009 (not in the protocol)
    return bool(vocabularies[0] == vocabularies[1])
