"""From one row of logits to one token: processors in order, then a draw from the answer's own stream."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import numpy as np
import torch
from torch import Tensor

from spiritsafe.errors import InputError, UsageError
from spiritsafe.teach.types import Candidate, Context, Processor, Sampling, Stage


class Temperature(NamedTuple):
    """Divide by ``value``; a temperature of 0 is not a processor but an argmax (``Sampler``)."""

    value: float
    stage: Stage = "logits"

    def __call__(self, logits: Tensor, context: Context) -> Tensor:
        return logits.div_(self.value)


class Likeliest(NamedTuple):
    """Keep the likeliest token alone: what temperature 0 leaves to a mark that belongs after temperature."""

    stage: Stage = "logits"

    def __call__(self, logits: Tensor, context: Context) -> Tensor:
        best = torch.argmax(logits)
        return torch.full_like(logits, float("-inf")).index_copy_(0, best[None], logits[best][None])


class TopP(NamedTuple):
    """Keep the fewest likeliest tokens whose probability reaches ``mass`` (Holtzman et al. 2020)."""

    mass: float
    stage: Stage = "logits"

    def __call__(self, logits: Tensor, context: Context) -> Tensor:
        probabilities = torch.softmax(logits, -1)
        # The nucleus is nearly always small: sorting the whole vocabulary would cost most of a step.
        size = min(256, logits.numel())
        while True:
            top, index = torch.topk(probabilities, size)
            mass = torch.cumsum(top, 0)
            if size == logits.numel() or mass[-1] >= self.mass:
                break
            size = min(size * 8, logits.numel())
        kept = index[: int(torch.searchsorted(mass, self.mass)) + 1]
        return torch.full_like(logits, float("-inf")).index_copy_(0, kept, logits[kept])


class Sampler:
    """Draws the tokens of one choice. Its stream depends on ``(seed, choice)`` and on nothing else.

    Order: processors of stage ``logits``, temperature, top-p, processors of stage ``warped``, draw. One
    uniform number a token, turned into a token by the inverse distribution function in id order: so a
    rounding difference in the logits moves a draw only if it falls between two tokens.
    """

    def __init__(self, sampling: Sampling, choice: int, processors: Sequence[Processor] = ()) -> None:
        seed = secrets.randbits(64) if sampling.seed is None else sampling.seed % 2**64
        self._random = np.random.Generator(np.random.PCG64([seed, choice]))
        self._greedy = sampling.temperature == 0
        warpers: list[Processor] = []
        if sampling.temperature not in (0, 1):
            warpers.append(Temperature(sampling.temperature))
        if sampling.top_p < 1 and not self._greedy:
            warpers.append(TopP(sampling.top_p))
        before = [each for each in processors if each.stage == "logits"]
        after = [each for each in processors if each.stage == "warped"]
        if self._greedy and after:
            warpers.append(Likeliest())
        self._processors: tuple[Processor, ...] = (*before, *warpers, *after)

    def draw(self, logits: Tensor, context: Context) -> int:
        """The next token. ``logits`` (``[vocabulary]``, float32) is used up."""
        for processor in self._processors:
            logits = processor(logits, context)
        if self._greedy:
            best = int(torch.argmax(logits))
            return best if torch.isfinite(logits[best]) else _nothing_left()
        mass = torch.softmax(logits, -1).double().cumsum(0)
        if not torch.isfinite(mass[-1]):
            return _nothing_left()
        # The first token whose cumulative mass exceeds the point: one of probability 0 is never it.
        point = torch.tensor(self._random.random(), dtype=torch.float64) * mass[-1]
        index = int(torch.searchsorted(mass, point, right=True))
        return index if index < len(mass) else int(torch.argmax(logits))


def _nothing_left() -> NoReturn:
    raise InputError(
        "the processors left no token to draw, or the model gave no finite logits",
        remedy="A mark or a grammar must leave at least one token finite.",
    )


def top_logprobs(logits: Tensor, chosen: int, count: int, text: Sequence[bytes]) -> tuple[float, tuple[Candidate, ...]]:
    """The chosen token's logprob and the ``count`` likeliest candidates, before any processor. ``text`` by id."""
    logprobs = torch.log_softmax(logits, -1)
    values, index = torch.topk(logprobs, min(count, logits.numel()))
    candidates = tuple(
        Candidate(id=token, text=data.decode("utf-8", "replace"), data=data, logprob=value)
        for token, value in zip(index.tolist(), values.tolist(), strict=True)
        for data in [text[token] if token < len(text) else b""]
    )
    return float(logprobs[chosen]), candidates


def check(sampling: Sampling) -> None:
    """Raise UsageError for values that mean nothing, all at once."""
    wrong = [
        message
        for bad, message in (
            (not 0 <= sampling.temperature < float("inf"), "temperature must be at least 0"),
            (not 0 < sampling.top_p <= 1, "top_p must lie in (0, 1]"),
            (sampling.max_tokens is not None and sampling.max_tokens < 1, "max_tokens must be at least 1"),
            (sampling.n < 1, "n must be at least 1"),
            (sampling.logprobs is not None and sampling.logprobs < 0, "logprobs must be at least 0"),
        )
        if bad
    ]
    if wrong:
        raise UsageError("; ".join(wrong), where="sampling", remedy="Correct the values and ask again.")
