"""From rows of text to batches of tokens: what is trained on at which step, as a pure function of the seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from spiritsafe.distill.rows import Row
from spiritsafe.errors import InputError


class ChatTokenizer(Protocol):
    """The part of a ``transformers`` fast tokenizer that is used here."""

    eos_token_id: int | None

    def __call__(self, text: str, **options: Any) -> Any: ...

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any: ...


class Example(NamedTuple):
    """One conversation in tokens: the prompt's come first, the answer's begin at ``start``; ``key`` names the row.

    ``offsets`` are the characters of the answer's text at which its tokens begin; the end token begins at its end.
    """

    key: str
    ids: list[int]
    start: int
    offsets: list[int]

    @property
    def answer(self) -> int:
        """How many tokens are trained on."""
        return len(self.ids) - self.start


class Batch(NamedTuple):
    """``ids`` [B, T] padded on the right, ``mask`` [B, T] 1 where there is a token. ``rows`` and ``columns`` (N,) are
    the places whose hidden state foretells an answer token, ``labels`` (N,) those tokens, in order of ``examples``.
    """

    examples: list[Example]
    ids: Tensor
    mask: Tensor
    rows: Tensor
    columns: Tensor
    labels: Tensor


def with_reasoning(row: Row) -> str:
    """The text a student learns to write: the reasoning in ``<think>`` tags, where there is any, then the answer."""
    return f"<think>\n{row.reasoning}\n</think>\n\n{row.answer}" if row.reasoning else row.answer


def encode(tokenizer: ChatTokenizer, row: Row, max_length: int) -> Example | None:
    """The row as the model's own chat template writes it, ended by the end token; None if it is longer than
    ``max_length`` tokens: a cut answer would teach to stop in mid-sentence.
    """
    if tokenizer.eos_token_id is None:
        raise InputError("the tokenizer has no end token", remedy="Give the student a tokenizer with one.")
    conversation = [{"role": "user", "content": row.prompt}]
    text = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
    prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
    answer = with_reasoning(row)
    coded = tokenizer(answer, add_special_tokens=False, return_offsets_mapping=True)
    ids = [*prompt, *coded["input_ids"], tokenizer.eos_token_id]
    if len(ids) > max_length:
        return None
    offsets = [begin for begin, _ in coded["offset_mapping"]] + [len(answer)]
    return Example(f"{row.prompt_id}:{row.sample}", ids, len(prompt), offsets)


def collate(examples: Sequence[Example], pad: int, device: torch.device | str = "cpu") -> Batch:
    """Examples side by side, padded with ``pad`` to the longest."""
    width = max(len(e.ids) for e in examples)
    ids = torch.full((len(examples), width), pad, dtype=torch.long)
    mask = torch.zeros((len(examples), width), dtype=torch.long)
    rows: list[int] = []
    columns: list[int] = []
    labels: list[int] = []
    for i, example in enumerate(examples):
        ids[i, : len(example.ids)] = torch.tensor(example.ids)
        mask[i, : len(example.ids)] = 1
        rows += [i] * example.answer
        columns += range(example.start - 1, len(example.ids) - 1)
        labels += example.ids[example.start :]
    places = [torch.tensor(x, dtype=torch.long, device=device) for x in (rows, columns, labels)]
    return Batch(list(examples), ids.to(device), mask.to(device), *places)


class Plan:
    """Which examples each step trains on: every epoch all of them once, alike lengths together, in random order."""

    def __init__(self, lengths: Sequence[int], per_step: int, epochs: float, steps: int | None, seed: int) -> None:
        self._lengths = lengths
        self._per_step = per_step
        self._seed = seed
        self.steps_per_epoch = max(1, math.ceil(len(lengths) / per_step))
        by_epochs = max(1, round(self.steps_per_epoch * epochs))
        self.steps = by_epochs if steps is None else min(steps, by_epochs)
        self._epoch: tuple[int, list[list[int]]] = (-1, [])

    def step(self, number: int) -> list[int]:
        """The examples of step ``number``, counted from 0: a function of the seed and the number alone."""
        epoch, place = divmod(number, self.steps_per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._shuffled(epoch))
        return self._epoch[1][place]

    def _shuffled(self, epoch: int) -> list[list[int]]:
        """Shuffle, sort windows of 16 steps by length so that little is padding, cut into steps, shuffle the steps."""
        dice = random.Random(f"{self._seed}:{epoch}")  # noqa: S311 (an order, not a secret)
        order = list(range(len(self._lengths)))
        dice.shuffle(order)
        window = 16 * self._per_step
        for a in range(0, len(order), window):
            order[a : a + window] = sorted(order[a : a + window], key=lambda i: self._lengths[i])
        steps = [order[a : a + self._per_step] for a in range(0, len(order), self._per_step)]
        dice.shuffle(steps)
        return steps


def schedule(warmup: float, decay: float) -> Callable[[float], float]:
    """Share of the full learning rate at a progress from 0 to 1: linear up over ``warmup``, flat, linear down to a
    tenth over ``decay`` (Hu et al. 2024, "MiniCPM", section 4: warmup-stable-decay).
    """

    def share(progress: float) -> float:
        if progress < warmup:
            return (progress + 1e-3) / (warmup + 1e-3)
        left = (1.0 - progress) / decay if decay > 0 else 1.0
        return 0.1 + 0.9 * min(1.0, max(0.0, left))

    return share
