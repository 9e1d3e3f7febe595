"""How much of a given text a suspect's own answers say again: shared runs of words, the rarer the heavier."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

WORDS = re.compile(r"\w+|[^\w\s]")
Gram = tuple[str, ...]

WEIGHTS: Mapping[int, float] = {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}
"""How much runs of so many words count. Chosen on trial students, before any key."""


def grams(text: str) -> frozenset[Gram]:
    """The distinct runs of one to four words (and marks) of a text, in lower case."""
    words = WORDS.findall(text.lower())
    return frozenset(tuple(words[at : at + n]) for n in WEIGHTS for at in range(len(words) - n + 1))


class Rarity:
    """How much a run of words tells: its weight times the square of log((N + 1) / (texts it is in + 1/2)), N texts in
    all. The square told students from innocents a little better than the logarithm itself.

    Counted over both answers of every pair alike, so that it knows nothing of which was served.
    """

    def __init__(self, texts: Iterable[frozenset[Gram]]) -> None:
        counts: Counter[Gram] = Counter()
        total = 0
        for text in texts:
            counts.update(text)
            total += 1
        self._counts = counts
        self._total = total

    def of(self, gram: Gram) -> float:
        """The weight of one run."""
        return WEIGHTS[len(gram)] * math.log((self._total + 1.0) / (self._counts[gram] + 0.5)) ** 2

    def mass(self, text: Iterable[Gram]) -> float:
        """The weight of several."""
        return sum(map(self.of, text))


def said_again(text: frozenset[Gram], answers: Sequence[frozenset[Gram]], rarity: Rarity) -> float:
    """The weight of the runs of ``text`` in each answer, on average over the answers."""
    if not answers:
        return 0.0
    return sum(rarity.mass(text & answer) for answer in answers) / len(answers)
