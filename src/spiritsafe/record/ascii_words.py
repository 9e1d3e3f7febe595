"""Cuts ASCII texts into units and numbers them, many texts at a time, without an object a word.

What ``words.split_words`` finds in a text of ASCII characters this finds too: a text costs about a tenth.
"""

from __future__ import annotations

import functools
import secrets
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LONGEST = 32
"""Characters of a unit at most; a longer run of letters and digits is several units."""

_GAP, _WORD, _MARK = 0, 1, 2
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_MASKS = np.array([(1 << (8 * size)) - 1 for size in range(9)], dtype=np.uint64)


class Units(NamedTuple):
    """All units of some texts: ``keys`` name them, text i has those from ``starts[i]`` to ``starts[i + 1]``.

    ``begin`` and ``size`` say where each lies in ``low``, the texts in lower case with digits shown as 0.
    """

    keys: NDArray[np.uint64]
    starts: NDArray[np.int64]
    begin: NDArray[np.int64]
    size: NDArray[np.int64]
    low: NDArray[np.uint8]

    def word(self, at: int) -> str:
        """One unit as a string."""
        begin = int(self.begin[at])
        return self.low[begin : begin + int(self.size[at])].tobytes().decode("ascii")


def cut(texts: Sequence[str], seed: np.uint64) -> Units:
    """Cut ASCII texts. ``seed`` is secret: who doesn't know it can't make two words with one key."""
    joined = "\n".join(texts)
    low = np.zeros(len(joined) + LONGEST, dtype=np.uint8)
    kinds = np.zeros(len(joined) + 2, dtype=np.uint8)
    raw = np.frombuffer(joined.encode("ascii"), dtype=np.uint8)
    shown, kind = _tables()
    np.take(shown, raw, out=low[: len(raw)])
    np.take(kind, raw, out=kinds[1:-1])
    inside = kinds == _WORD
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    begin, size = _split(edges[0::2], edges[1::2] - edges[0::2])
    marks = np.flatnonzero(kinds[1:-1] == _MARK)
    if marks.size:
        place = np.searchsorted(begin, marks)
        begin, size = np.insert(begin, place, marks), np.insert(size, place, 1)
    ends = np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1)
    starts = np.concatenate(([0], np.searchsorted(begin, ends)))
    return Units(_keys(low, begin, size, seed), starts, begin, size, low)


class Numbers:
    """Which number each key has: open addressing in arrays, which grow when they are half full."""

    def __init__(self, capacity: int) -> None:
        self.seed = np.uint64(secrets.randbits(64))
        self._size = 1 << (4 * capacity).bit_length()
        self.clear()

    def clear(self) -> None:
        """Forget all keys."""
        self._keys = np.zeros(self._size, dtype=np.uint64)
        self._numbers = np.full(self._size, -1, dtype=np.int32)
        self._held = 0

    def find(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The number of each key, -1 for one that has none."""
        found = np.full(len(keys), -1, dtype=np.int64)
        left, at = np.arange(len(keys)), self._at(keys)
        while left.size:
            number = self._numbers[at]
            hit = (number >= 0) & (self._keys[at] == keys[left])
            found[left[hit]] = number[hit]
            onwards = (number >= 0) & ~hit
            left, at = left[onwards], (at[onwards] + 1) & (self._size - 1)
        return found

    def put(self, key: np.uint64, number: int) -> None:
        """Give a new key its number."""
        self._held += 1
        if 2 * self._held > self._size:
            self._grow()
        at = int(self._at(np.array([key]))[0])
        while self._numbers[at] >= 0:
            at = (at + 1) & (self._size - 1)
        self._keys[at], self._numbers[at] = key, number

    def _at(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (keys >> np.uint64(64 - self._size.bit_length() + 1)).astype(np.int64)

    def _grow(self) -> None:
        keys, numbers = self._keys[self._numbers >= 0], self._numbers[self._numbers >= 0]
        self._size *= 2
        self.clear()
        for key, number in zip(keys, numbers.tolist(), strict=True):
            self.put(key, number)


@functools.cache
def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """How each byte is shown, and what kind it is."""
    characters = [chr(code) for code in range(128)]
    shown = np.array([ord("0") if c.isdigit() else ord(c.lower()) for c in characters], dtype=np.uint8)
    kinds = [_WORD if c.isalnum() else _GAP if c.isspace() or c == "_" else _MARK for c in characters]
    return shown, np.array(kinds, dtype=np.uint8)


def _split(begin: NDArray[np.int64], size: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut runs that are too long."""
    if not size.size or int(size.max()) <= LONGEST:
        return begin, size
    pieces = -(-size // LONGEST)
    within = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.repeat(begin, pieces) + within * LONGEST, np.minimum(np.repeat(size, pieces) - within * LONGEST, LONGEST)


def _keys(
    low: NDArray[np.uint8], begin: NDArray[np.int64], size: NDArray[np.int64], seed: np.uint64
) -> NDArray[np.uint64]:
    """Eight bytes after the other mixed into 64 bits; the rest of a unit's last eight counts as 0."""
    eights: NDArray[np.uint64] = np.ndarray((max(len(low) - 7, 0),), dtype="<u8", buffer=low, strides=(1,))
    keys = _mix((eights[begin] & _MASKS[np.minimum(size, 8)]) ^ seed)
    for start in range(8, LONGEST, 8):
        long = np.flatnonzero(size > start)
        if not long.size:
            break
        more = eights[begin[long] + start] & _MASKS[np.minimum(size[long] - start, 8)]
        keys[long] = _mix(keys[long] ^ more ^ seed)
    return keys


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_A
    x = (x ^ (x >> np.uint64(27))) * _MIX_B
    return x ^ (x >> np.uint64(31))
