"""From texts to the distinct n-grams that are scored, each once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from spiritsafe.protect.prf import Words, siphash
from spiritsafe.stats.types import FloatArray

_WORD = re.compile(r"\w+|[^\w\s]")
_NO_KEY = np.zeros(2, dtype=np.uint64)


def words(text: str) -> Words:
    """Words and punctuation of a text, in small letters, each as 32 bits of its BLAKE2b digest.

    For marks that must not depend on a tokenizer. Two words that share a digest count as one: a little power is lost.
    """
    known: dict[str, int] = {}
    ids = []
    for word in _WORD.findall(text.lower()):
        if word not in known:
            known[word] = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "little")
        ids.append(known[word])
    return np.array(ids, dtype=np.uint32)


def ngrams(sequences: Iterable[Sequence[int] | npt.NDArray[np.integer]], k: int) -> Words:
    """Every n-gram ``[n, k + 1]`` of every sequence, in order; none crosses from one sequence into the next."""
    rows = [
        np.lib.stride_tricks.sliding_window_view(np.asarray(sequence, dtype=np.uint32), k + 1)
        for sequence in sequences
        if len(sequence) > k
    ]
    return np.concatenate(rows) if rows else np.empty((0, k + 1), dtype=np.uint32)


def distinct(rows: Words) -> Words:
    """The first occurrence of each row, in order of first occurrence.

    Repeated text repeats its lanes: counted again, one lucky n-gram counts many times, and the null is no longer a
    sum of independent scores. What is kept depends on the text alone, never on the key.
    """
    if rows.shape[0] == 0:
        return rows
    _, first = np.unique(_fingerprints(rows), return_index=True)
    first.sort()
    return rows[first]


def tallied(rows: Words, weights: FloatArray | None = None) -> tuple[Words, FloatArray]:
    """The distinct rows, and for each the sum of ``weights`` (1 a row unless given) over its occurrences."""
    _, first, place = np.unique(_fingerprints(rows), return_index=True, return_inverse=True)
    return rows[first], np.bincount(place.ravel(), weights=weights, minlength=first.size).astype(np.float64)


def grouped(rows: Words) -> npt.NDArray[np.intp]:
    """A number for each row, the same for equal rows."""
    return np.asarray(np.unique(_fingerprints(rows), return_inverse=True)[1]).ravel()


def without_contexts(rows: Words, seen: Words) -> Words:
    """``rows`` whose context is the context of no row of ``seen``.

    ``seen`` are n-grams that the writer was shown and that may carry the mark. Given every lane after the contexts
    it was shown, the lanes after all other contexts are still independent and uniform, whatever it copied.
    """
    return rows[outside(rows, seen)]


def outside(rows: Words, seen: Words) -> npt.NDArray[np.bool_]:
    """Which of ``rows`` are kept by ``without_contexts``."""
    if rows.shape[0] == 0 or seen.shape[0] == 0:
        return np.ones(rows.shape[0], dtype=np.bool_)
    return ~np.isin(_fingerprints(rows[:, :-1]), _fingerprints(seen[:, :-1]))


def _fingerprints(rows: Words) -> npt.NDArray[np.uint64]:
    """64 bits that tell rows apart: the row itself where it fits, else its hash under a key everyone knows."""
    if rows.shape[1] == 1:
        return rows[:, 0].astype(np.uint64)
    if rows.shape[1] == 2:
        return rows[:, 0].astype(np.uint64) << np.uint64(32) | rows[:, 1]
    return siphash(_NO_KEY, rows)
