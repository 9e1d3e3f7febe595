"""What collecting may cost, what it has cost, and what it will: a ceiling that holds before the money is spent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from spiritsafe.distill.recipe import Ceiling, Price


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and money of the requests that were paid for."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def cost(price: Price, prompt_tokens: int, completion_tokens: int, *, batch: bool = False) -> float:
    """Money for one request, in the price's currency."""
    full = (prompt_tokens * price.prompt_per_million + completion_tokens * price.completion_per_million) / 1e6
    return full * (1.0 - price.discount) if batch else full


class Budget:
    """Counts what is spent and what is under way at its worst, and refuses the request that could cross the ceiling.

    ``before`` are the seconds that earlier processes took: they count for the ceiling of hours.
    """

    def __init__(
        self,
        ceiling: Ceiling,
        price: Price,
        *,
        batch: bool = False,
        before: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ceiling = ceiling
        self._price = price
        self._batch = batch
        self._clock = clock
        self._began = clock() - before
        self._lock = threading.Lock()
        self._requests = self._prompt = self._completion = 0
        self._reserved = (0, 0)
        self._under_way = 0

    @property
    def spent(self) -> Spent:
        with self._lock:
            return Spent(
                requests=self._requests,
                prompt_tokens=self._prompt,
                completion_tokens=self._completion,
                money=cost(self._price, self._prompt, self._completion, batch=self._batch),
            )

    def count(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Add an answer that an earlier process paid for."""
        with self._lock:
            self._add(prompt_tokens, completion_tokens)

    def late(self) -> str | None:
        """Why nothing may be asked any more, whatever it costs; None while the hours last."""
        if self._ceiling.hours is None or self._clock() - self._began <= 3600 * self._ceiling.hours:
            return None
        return f"the ceiling of {self._ceiling.hours:g} hours is reached"

    def reserve(self, prompt_tokens: int, most: int) -> str | None:
        """Set aside a request's worst case. Returns None, or why it must not be sent, in words."""
        with self._lock:
            if (late := self.late()) is not None:
                return late
            if self._ceiling.requests is not None and self._requests + self._under_way >= self._ceiling.requests:
                return f"the ceiling of {self._ceiling.requests} requests is reached"
            prompt = self._prompt + self._reserved[0] + prompt_tokens
            completion = self._completion + self._reserved[1] + most
            if self._ceiling.tokens is not None and prompt + completion > self._ceiling.tokens:
                return f"one more answer could cross the ceiling of {self._ceiling.tokens} tokens"
            money = cost(self._price, prompt, completion, batch=self._batch)
            if self._ceiling.money is not None and money > self._ceiling.money:
                return f"one more answer could cross the ceiling of {self._ceiling.money:g} {self._price.currency}"
            self._reserved = (self._reserved[0] + prompt_tokens, self._reserved[1] + most)
            self._under_way += 1
            return None

    def settle(self, reserved_prompt: int, reserved_most: int, paid: tuple[int, int] | None) -> None:
        """Give a reservation back; ``paid`` are the prompt's and the answer's tokens, None if nothing was answered."""
        with self._lock:
            self._reserved = (self._reserved[0] - reserved_prompt, self._reserved[1] - reserved_most)
            self._under_way -= 1
            if paid is not None:
                self._add(*paid)

    def _add(self, prompt_tokens: int, completion_tokens: int) -> None:
        self._requests += 1
        self._prompt += prompt_tokens
        self._completion += completion_tokens


class Estimate(NamedTuple):
    """What the requests still to be asked will take: tokens and money, each as (low, likely, high)."""

    requests: int
    tokens: tuple[int, int, int]
    money: tuple[float, float, float]
    basis: str

    def line(self, currency: str) -> str:
        """For people."""
        (low, likely, high), (least, money, most) = self.tokens, self.money
        priced = f", {money:.2f} {currency} ({least:.2f} to {most:.2f})" if most > 0 else ""
        return f"{self.requests} to ask, about {likely:,} tokens ({low:,} to {high:,}){priced}; {self.basis}"


def estimate(
    prompt_tokens: Sequence[int], lengths: Sequence[int], most: int, price: Price, *, batch: bool = False, seed: int = 0
) -> Estimate:
    """Forecast the cost of asking prompts of these lengths. ``lengths`` are answers' lengths seen so far.

    With at least 8 of them the interval is the central 95% of 2,000 bootstrap totals; with fewer, the bounds that
    can't be crossed: empty answers and answers of ``most`` tokens, and the middle says nothing.
    """
    n, asked = len(prompt_tokens), int(sum(prompt_tokens))
    if len(lengths) >= 8:
        dice = np.random.default_rng(seed)
        seen = np.asarray(lengths, dtype=np.float64)
        # The mean of the seen lengths is itself uncertain: resample it, then draw the n answers' total around it.
        means = dice.choice(seen, (2000, len(seen))).mean(axis=1)
        totals = np.clip(dice.normal(n * means, seen.std() * np.sqrt(n)), 0, n * most)
        low, likely, high = (int(x) for x in np.percentile(totals, [2.5, 50, 97.5]))
        basis = f"bootstrap over {len(lengths)} answers already here, 95%"
    else:
        low, likely, high = 0, n * most // 2, n * most
        basis = "no answers yet: from empty answers to the longest allowed"
    money = [cost(price, asked, c, batch=batch) for c in (low, likely, high)]
    return Estimate(n, (asked + low, asked + likely, asked + high), (money[0], money[1], money[2]), basis)
