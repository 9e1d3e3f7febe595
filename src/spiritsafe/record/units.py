"""Cuts texts into units and numbers them, many texts at a time, without an object a word.

What ``words.split_words`` finds this finds too, in any script whose words are runs of letters, and a text costs
about a tenth. Texts with characters that are words by themselves (``words.IDEOGRAPH``) are cut the plain way.
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
_FIRST_PLANES, _ALL_PLANES = 0x20000, 0x110000


class Units(NamedTuple):
    """All units of some texts: ``keys`` name them, text i has those from ``starts[i]`` to ``starts[i + 1]``.

    ``begin`` and ``size`` say where each lies in ``low``, the texts in lower case with digits shown as 0: a byte a
    character, or a code point where there are characters beyond ASCII.
    """

    keys: NDArray[np.uint64]
    starts: NDArray[np.int64]
    begin: NDArray[np.int64]
    size: NDArray[np.int64]
    low: NDArray[np.uint8] | NDArray[np.uint32]

    def word(self, at: int) -> str:
        """One unit as a string."""
        begin = int(self.begin[at])
        codes = self.low[begin : begin + int(self.size[at])]
        return codes.tobytes().decode("ascii" if codes.itemsize == 1 else "utf-32-le", "surrogatepass")


def cut(texts: Sequence[str], seed: np.uint64) -> Units:
    """Cut texts. ``seed`` is secret: who doesn't know it can't make two words with one key."""
    lows = [text.lower() for text in texts]
    joined = "\n".join(lows)
    low: NDArray[np.uint8] | NDArray[np.uint32]
    low, kinds = _bytes(joined) if joined.isascii() else _code_points(joined)
    inside = kinds == _WORD
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    begin, size = _split(edges[0::2], edges[1::2] - edges[0::2])
    marks = np.flatnonzero(kinds[1:-1] == _MARK)
    if marks.size:
        place = np.searchsorted(begin, marks)
        begin, size = np.insert(begin, place, marks), np.insert(size, place, 1)
    ends = np.cumsum(np.fromiter(map(len, lows), dtype=np.int64, count=len(lows)) + 1)
    starts = np.concatenate(([0], np.searchsorted(begin, ends)))
    return Units(_keys(low.view(np.uint8), begin * low.itemsize, size * low.itemsize, seed), starts, begin, size, low)


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

    def put(self, keys: NDArray[np.uint64], numbers: NDArray[np.int64]) -> None:
        """Give new keys, all different, their numbers."""
        self._held += len(keys)
        if 2 * self._held > self._size:
            self._grow()
        left, at = np.arange(len(keys)), self._at(keys)
        while left.size:
            free = np.flatnonzero(self._numbers[at] < 0)
            slots, first = np.unique(at[free], return_index=True)
            put = free[first]
            self._keys[slots], self._numbers[slots] = keys[left[put]], numbers[left[put]]
            left, at = np.delete(left, put), (np.delete(at, put) + 1) & (self._size - 1)

    def _at(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (keys >> np.uint64(64 - self._size.bit_length() + 1)).astype(np.int64)

    def _grow(self) -> None:
        keys, numbers, held = self._keys[self._numbers >= 0], self._numbers[self._numbers >= 0], self._held
        while 2 * held > self._size:
            self._size *= 2
        self.clear()
        self.put(keys, numbers.astype(np.int64))
        self._held = held


def _bytes(joined: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The characters, padded, and the kind of each, a gap before and after."""
    raw = np.frombuffer(joined.encode("ascii"), dtype=np.uint8)
    low = np.zeros(len(raw) + LONGEST, dtype=np.uint8)
    low[: len(raw)] = _shown()[raw]
    kinds = np.zeros(len(raw) + 2, dtype=np.uint8)
    kinds[1:-1] = _kinds(128)[raw]
    return low, kinds


def _code_points(joined: str) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    raw = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    low = np.zeros(len(raw) + LONGEST, dtype=np.uint32)
    low[: len(raw)] = np.where(raw < 128, _shown()[np.minimum(raw, 127)], raw)
    kinds = np.zeros(len(raw) + 2, dtype=np.uint8)
    kinds[1:-1] = _kinds(_FIRST_PLANES if int(raw.max()) < _FIRST_PLANES else _ALL_PLANES)[raw]
    return low, kinds


@functools.cache
def _shown() -> NDArray[np.uint8]:
    """Each ASCII character with digits as 0."""
    return np.array([ord("0") if chr(code).isdigit() else code for code in range(128)], dtype=np.uint8)


@functools.cache
def _kinds(codes: int) -> NDArray[np.uint8]:
    """The kind of each of so many code points."""
    characters = map(chr, range(codes))
    kinds = [_WORD if c.isalnum() else _GAP if c.isspace() or c == "_" else _MARK for c in characters]
    return np.array(kinds, dtype=np.uint8)


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
    start, long = 8, np.flatnonzero(size > 8)
    while long.size:
        more = eights[begin[long] + start] & _MASKS[np.minimum(size[long] - start, 8)]
        keys[long] = _mix(keys[long] ^ more ^ seed)
        start += 8
        long = long[size[long] > start]
    return keys


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_A
    x = (x ^ (x >> np.uint64(27))) * _MIX_B
    return x ^ (x >> np.uint64(31))
