"""Scoring a model on answers: nats, agreement and KL, prompt by prompt, without ever holding all logits at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from spiritsafe.distill.batches import Batch, ChatTokenizer, Example, collate
from spiritsafe.distill.losses.chunked import from_head
from spiritsafe.distill.losses.forward_kl import forward_kl
from spiritsafe.distill.losses.sft import sft
from spiritsafe.distill.losses.types import Dense, Tokens
from spiritsafe.distill.student import body, head_of

ROWS = 256


class Scores(NamedTuple):
    """One entry an example, summed over its ``tokens``: ``nats`` of the answer; ``agreed`` places at which the model's
    likeliest token is the other's (or, without another, the answer's); ``kl`` to the other in nats, None without.
    """

    tokens: list[int]
    nats: list[float]
    agreed: list[int]
    kl: list[float] | None

    @property
    def cross_entropy(self) -> float:
        return sum(self.nats) / sum(self.tokens)

    @property
    def agreement(self) -> float:
        return sum(self.agreed) / sum(self.tokens)

    @property
    def divergence(self) -> float | None:
        return None if self.kl is None else sum(self.kl) / sum(self.tokens)


@torch.no_grad()
def score(
    model: PreTrainedModel,
    examples: Sequence[Example],
    pad: int,
    *,
    other: PreTrainedModel | None = None,
    batch: int = 4,
) -> Scores:
    """Score ``model`` on ``examples``, against ``other`` (usually the teacher, with the same tokens) where given."""
    found = Scores([], [], [], None if other is None else [])
    for a in range(0, len(examples), batch):
        part = collate(examples[a : a + batch], pad, model.device)
        sizes = [e.answer for e in part.examples]

        mine = _hidden(model, part)
        head = head_of(model)
        nats = sft(mine, head, Tokens(part.labels)).rows
        dense = None if other is None else from_head(_hidden(other, part), head_of(other))
        wanted = part.labels if dense is None else _likeliest(dense, len(mine))
        agreed = _likeliest(from_head(mine, head), len(mine)) == wanted
        found.tokens.extend(sizes)
        found.nats.extend(float(x.sum()) for x in torch.split(nats, sizes))
        found.agreed.extend(int(x.sum()) for x in torch.split(agreed, sizes))
        if found.kl is not None and dense is not None:
            rows = forward_kl(mine, head, dense).rows
            found.kl.extend(float(x.sum()) for x in torch.split(rows, sizes))
    return found


def _hidden(model: PreTrainedModel, batch: Batch) -> Tensor:
    """The states that foretell the answer's tokens, (N, H) in float32."""
    states: Tensor = body(model)(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
    return states[batch.rows, batch.columns].float()


def _likeliest(dense: Dense, n: int) -> Tensor:
    return torch.cat([dense.logits(a, min(a + ROWS, n)).argmax(-1) for a in range(0, n, ROWS)])


@torch.no_grad()
def answer(
    model: PreTrainedModel, tokenizer: ChatTokenizer, prompts: Sequence[str], *, max_tokens: int, batch: int = 8
) -> tuple[list[str], float]:
    """The model's greedy answers to ``prompts``, and the tokens it decodes a second, all batches together."""
    texts: list[str] = []
    tokens, began = 0, time.monotonic()
    for a in range(0, len(prompts), batch):
        chats = [
            tokenizer.apply_chat_template([{"role": "user", "content": p}], add_generation_prompt=True, tokenize=False)
            for p in prompts[a : a + batch]
        ]
        coded = [tokenizer(chat, add_special_tokens=False)["input_ids"] for chat in chats]
        width = max(len(ids) for ids in coded)
        # Padded here, on the left: many tokenizers have no padding token of their own.
        ids = torch.tensor([[tokenizer.eos_token_id] * (width - len(ids)) + ids for ids in coded])
        mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in coded])
        out = model.generate(  # type: ignore[operator]
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=max_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=tokenizer.eos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        drawn = out[:, width:]
        tokens += int((drawn != tokenizer.eos_token_id).sum())
        texts += tokenizer.batch_decode(drawn, skip_special_tokens=True)  # type: ignore[attr-defined]
    return texts, tokens / max(1e-9, time.monotonic() - began)
