"""Teachers and students of n-grams: rehearse in seconds whether a mark would survive a distillation.

A chain learns from token sequences how often each token follows each context, and writes by drawing from those
counts. A small thing, but it has what carries a mark from a teacher into a student: probabilities that move with the
data, contexts that come again, and text with a real language's repetitions if it was taught on such.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spiritsafe.protect import prf
from spiritsafe.protect.keys import MarkKey
from spiritsafe.protect.marks.embed import is_marked, logit_mark
from spiritsafe.protect.marks.ngrams import grouped, ngrams
from spiritsafe.protect.marks.types import LogitMark, Mark
from spiritsafe.protect.prf import Words
from spiritsafe.stats.types import FloatArray, IntArray

Sequences = Sequence[Sequence[int] | npt.NDArray[np.integer]]


def numbered(texts: Sequence[str]) -> list[Words]:
    """Texts as sequences of words and punctuation, numbered in the order in which they first come."""
    ids: dict[str, int] = {}
    return [
        np.array([ids.setdefault(word, len(ids)) for word in re.findall(r"\w+|[^\w\s]", text.lower())], dtype=np.uint32)
        for text in texts
    ]


@dataclass(frozen=True, eq=False, slots=True)
class Chain:
    """``rows`` (``[edges, order + 1]``) are the n-grams, sorted; ``weights`` how often each was seen.

    The edges of state i are ``starts[i]`` to ``starts[i + 1]``; ``onward`` is the state an edge leads to, -1 where
    nothing is known to follow.
    """

    rows: Words
    weights: FloatArray
    starts: IntArray
    onward: IntArray

    @property
    def order(self) -> int:
        return int(self.rows.shape[1]) - 1

    @classmethod
    def of(cls, sequences: Sequences, order: int = 1) -> Chain:
        """Learn from sequences: contexts are ``order`` tokens long."""
        return cls._of(*np.unique(ngrams(sequences, order), axis=0, return_counts=True))

    @classmethod
    def _of(cls, rows: Words, counts: npt.NDArray[np.number]) -> Chain:
        if rows.shape[0] == 0:
            raise ValueError("there is nothing to learn from: no sequence is longer than a context")
        states, starts = np.unique(_packed(rows[:, :-1]), return_index=True)
        # Rows are sorted as wholes, states as packed keys: both go by the same order of ids.
        ahead = _packed(rows[:, 1:])
        at = np.minimum(np.searchsorted(states, ahead), states.size - 1)
        onward = np.where(states[at] == ahead, at, -1)
        return cls(rows, counts.astype(np.float64), np.append(starts, rows.shape[0]), onward)

    def blended(self, other: Chain, share: float) -> Chain:
        """Weights of both, ``share`` of the other's: what training on other data afterwards does to a chain."""
        mine = self.weights * ((1.0 - share) / self.weights.sum())
        rows = np.concatenate([self.rows, other.rows])
        both = np.concatenate([mine, other.weights * (share / other.weights.sum())])
        merged, inverse = np.unique(rows, axis=0, return_inverse=True)
        weights = np.bincount(inverse.ravel(), weights=both)
        kept = weights > 0
        return self._of(merged[kept], weights[kept])

    def reweighed(self, weights: FloatArray) -> Chain:
        """The same edges with other weights."""
        return Chain(self.rows, weights, self.starts, self.onward)

    def marked(self, mark: Mark, key: MarkKey) -> Chain:
        """The chain that writes with ``mark``, for marks that draw anew from every context (green lists)."""
        changed = logit_mark(mark)
        lanes = self._lanes(changed, key)
        logits = np.log(self.weights).astype(np.float32)
        return self.reweighed(np.exp(changed.reweigh(logits, lanes).astype(np.float64)))

    def probabilities(self) -> FloatArray:
        """Each edge's share of its state."""
        sums = np.add.reduceat(self.weights, self.starts[:-1])
        return np.asarray(self.weights / np.repeat(sums, np.diff(self.starts)))

    def chances(self, texts: Sequences) -> list[FloatArray]:
        """The chance of each token of each text where it stands: 0 for the first ``order``, and what was never met."""
        number = grouped(np.concatenate([self.rows, ngrams(texts, self.order)]))
        known = self.rows.shape[0]
        chance = np.zeros(number.max() + 1)
        chance[number[:known]] = self.probabilities()
        ends = np.cumsum([max(len(text) - self.order, 0) for text in texts])
        each = np.split(chance[number[known:]], ends[:-1])
        return [np.concatenate([np.zeros(len(text) - some.size), some]) for text, some in zip(texts, each, strict=True)]

    def write(self, count: int, length: int, rng: np.random.Generator) -> Words:
        """``count`` sequences of ``length`` tokens, side by side: ``[count, length]``."""
        heaped = np.cumsum(self.weights)
        before = np.concatenate([[0.0], heaped])[self.starts]
        first = rng.choice(self.starts.size - 1, size=count, p=np.diff(before) / heaped[-1])
        out = np.empty((count, length), dtype=np.uint32)
        state = first
        for step in range(length):
            low, high = before[state], before[state + 1]
            edge = np.searchsorted(heaped, low + rng.random(count) * (high - low), side="right")
            edge = np.clip(edge, self.starts[state], self.starts[state + 1] - 1)
            out[:, step] = self.rows[edge, -1]
            state = np.where(self.onward[edge] < 0, first, self.onward[edge])
        return out

    def write_marked(self, mark: Mark, key: MarkKey, count: int, length: int, rng: np.random.Generator) -> list[Words]:
        """The same token by token under any mark of logits, by the rule that every adapter follows."""
        changed = logit_mark(mark)
        lanes, logits = self._lanes(changed, key), np.log(self.weights).astype(np.float32)
        return [self._one(changed, lanes, logits, length, rng) for _ in range(count)]

    def _one(
        self, mark: LogitMark, lanes: Words, logits: npt.NDArray[np.float32], length: int, rng: np.random.Generator
    ) -> Words:
        state = int(rng.integers(self.starts.size - 1))
        out: list[int] = []
        while len(out) < length:
            edges = slice(int(self.starts[state]), int(self.starts[state + 1]))
            row = logits[edges]
            if is_marked(mark, out):
                row = mark.reweigh(row, lanes[edges])
            masses = np.cumsum(np.exp(row - row.max(), dtype=np.float64))
            edge = edges.start + int(np.searchsorted(masses, rng.random() * masses[-1], side="right"))
            out.append(int(self.rows[edge, -1]))
            state = int(self.onward[edge])
            if state < 0:
                state = int(rng.integers(self.starts.size - 1))
        return np.array(out, dtype=np.uint32)

    def _lanes(self, mark: Mark, key: MarkKey) -> Words:
        if mark.k > self.order:
            raise ValueError(f"{mark.name} looks at {mark.k} tokens of context, this chain has {self.order}")
        return prf.lanes(key.sip, self.rows[:, -mark.k - 1 :], mark.bits)


def _packed(contexts: Words) -> npt.NDArray[np.uint64]:
    """One sortable number a context, in the order of its ids; contexts of up to two tokens, ids of 32 bits."""
    if contexts.shape[1] > 2:
        raise ValueError("a chain has contexts of one or two tokens")
    packed = contexts[:, 0].astype(np.uint64)
    return packed if contexts.shape[1] == 1 else packed << np.uint64(32) | contexts[:, 1]
