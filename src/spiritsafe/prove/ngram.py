"""A model of counted word runs, trained in a second: for measuring tests over a thousand students, and as a suspect.

It learns by heart what it is trained on, as all students do, and no more than runs of three words: what a test finds
in it, it finds in a network that was trained long enough, but no number measured on it is a network's.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING

from spiritsafe.prove.replies import spelled
from spiritsafe.prove.suspect import Identity, Reply, Scored, lacking
from spiritsafe.teach.types import Access, Prompt, Sampling, Tokenizer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PIECES = re.compile(r"\s*(?:\w+|[^\w\s])")
END = ""
DISCOUNT = 0.6
LONGEST = 200

Context = tuple[str, ...]


def pieces(text: str) -> list[str]:
    """A text as words and marks, each with the space before it: joined they are the text, trailing space aside."""
    return PIECES.findall(text)


class Ngram:
    """Counts of words after the last 0 to ``order`` - 1 words, mixed by absolute discounting (Ney et al. 1994)."""

    def __init__(self, order: int = 3) -> None:
        self.order = order
        self._after: list[dict[Context, Counter[str]]] = [defaultdict(Counter) for _ in range(order)]
        self._totals: list[dict[Context, int]] = [defaultdict(int) for _ in range(order)]
        self._draws: dict[tuple[int, Context], tuple[list[str], list[float]]] = {}

    def learn(self, prompt: str, answer: str, times: int = 1) -> None:
        """Count one answer after its prompt, ``times`` over; the prompt's own words are not counted."""
        self._draws.clear()
        before, words = pieces(prompt), [*pieces(answer), END]
        row = [*before[len(before) - self.order + 1 :], *words] if self.order > 1 else words
        start = len(row) - len(words)
        for at in range(start, len(row)):
            for depth in range(min(self.order, at + 1)):
                context = tuple(row[at - depth : at])
                self._after[depth][context][row[at]] += times
                self._totals[depth][context] += times

    def logprob(self, context: Sequence[str], word: str) -> float:
        """Natural logarithm of the chance of ``word`` next."""
        chance = 1.0 / (len(self._after[0].get((), ())) + 1.0)
        for depth in range(min(self.order, len(context) + 1)):
            last = tuple(context[len(context) - depth :])
            total = self._totals[depth].get(last, 0)
            if not total:
                break
            after = self._after[depth][last]
            chance = (max(after[word] - DISCOUNT, 0.0) + DISCOUNT * len(after) * chance) / total
        return math.log(chance)

    def logprobs(self, prompt: str, answer: str) -> list[float]:
        """That of each word of an answer, its end included."""
        row, words = pieces(prompt), [*pieces(answer), END]
        found = []
        for word in words:
            found.append(self.logprob(row[max(0, len(row) - self.order + 1) :], word))
            row.append(word)
        return found

    def following(self, context: Context) -> set[str]:
        """The words that were seen after as much of a context as was seen at all."""
        for depth in range(min(self.order - 1, len(context)), -1, -1):
            after = self._after[depth].get(context[len(context) - depth :])
            if after:
                return set(after)
        return set()

    def draw(self, prompt: str, dice: Random, longest: int = LONGEST) -> str:
        """An answer drawn word by word."""
        row = pieces(prompt)
        start = len(row)
        while len(row) - start < longest:
            word = self._next(row, dice)
            if word == END:
                break
            row.append(word)
        return "".join(row[start:])

    def _next(self, row: Sequence[str], dice: Random) -> str:
        for depth in range(min(self.order - 1, len(row)), -1, -1):
            last = tuple(row[len(row) - depth :])
            total = self._totals[depth].get(last, 0)
            if not total:
                continue
            after = self._after[depth][last]
            if dice.random() * total >= DISCOUNT * len(after) or depth == 0:
                words, weights = self._ready(depth, last, after)
                return dice.choices(words, cum_weights=weights)[0]
        return END

    def _ready(self, depth: int, last: Context, after: Counter[str]) -> tuple[list[str], list[float]]:
        """A context's words with their summed weights, kept until more is learnt."""
        found = self._draws.get((depth, last))
        if found is None:
            weights = list(accumulate(count - DISCOUNT for count in after.values()))
            found = self._draws[depth, last] = list(after), weights
        return found


class NgramSuspect:
    """An ``Ngram`` in a suspect's place. Answers are drawn as the counts are, whatever the temperature."""

    access: Access = "logprobs"
    chunk = 256
    at_once = 1

    def __init__(self, model: Ngram, name: str = "n-gram") -> None:
        self._model = model
        self.identity = Identity(name=name, kind="counts")
        self.tokenizer: Tokenizer | None = None

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling]) -> list[list[Reply]]:
        """See ``Suspect.generate``."""
        samplings: Iterable[Sampling] = [sampling] * len(prompts) if isinstance(sampling, Sampling) else sampling
        return [
            [self._reply(prompt, one, n) for n in range(one.n)] for prompt, one in zip(prompts, samplings, strict=True)
        ]

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        """See ``Suspect.score``."""
        return [Scored(tuple(round(x, 6) for x in self._model.logprobs(spelled(p), text))) for p, text in pairs]

    def likeliest(self, ids: Sequence[int]) -> list[int]:
        """Raises ``UsageError``: it has words, no ids."""
        raise lacking(self.identity, self.access, "weights")

    def distributions(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Raises ``UsageError``: it has words, no ids."""
        raise lacking(self.identity, self.access, "weights")

    def close(self) -> None:
        """Nothing to free."""

    def _reply(self, prompt: Prompt, sampling: Sampling, choice: int) -> Reply:
        dice = Random(f"{sampling.seed}:{choice}")  # noqa: S311 - a draw, no secret
        longest = sampling.max_tokens or LONGEST
        text = self._model.draw(spelled(prompt), dice, longest)
        return Reply(text=text.strip(), ending="length" if len(pieces(text)) >= longest else "stop")
