"""What a stream is summed up in when it can't be kept: bounded memory, mergeable, the same in any order."""

from __future__ import annotations

import hashlib
import heapq
import math
from typing import Generic, TypeVar

import msgspec

from spiritsafe.errors import InputError

T = TypeVar("T")

VERSION = 1

_SPAN = 1 << 64
_SMALLEST = 3


class BottomKState(msgspec.Struct, Generic[T], frozen=True):
    """A ``BottomK`` as it is stored: pairs of (hash, value), hashes rising; BLAKE2b-64 keyed by ``seed``."""

    k: int
    seed: int
    entries: tuple[tuple[int, T], ...]
    version: int = VERSION


class BottomK(Generic[T]):
    """The ``k`` keys with the smallest hashes, each with a value: a sample of the distinct keys, and their number.

    The hash is keyed by ``seed``, so whoever doesn't know the seed can't choose keys that are kept. What is kept
    depends on the set of keys alone, not on order, repeats or how the stream was split (a key's value is the first
    seen with it). Memory is ``k`` entries. Sources: Bar-Yossef et al. (2002); Cohen & Kaplan (2007).
    """

    __slots__ = ("_heap", "_values", "k", "seed")

    def __init__(self, k: int, seed: int = 0) -> None:
        if k < _SMALLEST:
            raise ValueError(f"k is at least {_SMALLEST}, got {k}")
        if not 0 <= seed < _SPAN:
            raise ValueError(f"seed lies in [0, 2**64), got {seed}")
        self.k = k
        self.seed = seed
        self._heap: list[int] = []
        self._values: dict[int, T] = {}

    def add(self, key: bytes, value: T) -> None:
        """See one key."""
        digest = hashlib.blake2b(key, digest_size=8, key=self.seed.to_bytes(8, "little")).digest()
        self._keep(int.from_bytes(digest, "little"), value)

    def _keep(self, hashed: int, value: T) -> None:
        if hashed in self._values:
            return
        # heapq keeps the smallest first, and the one to give up is the largest: so hashes go in negated.
        if len(self._heap) < self.k:
            heapq.heappush(self._heap, -hashed)
        elif hashed < -self._heap[0]:
            del self._values[-heapq.heapreplace(self._heap, -hashed)]
        else:
            return
        self._values[hashed] = value

    def distinct(self) -> float:
        """How many distinct keys were seen: exact up to ``k`` - 1, beyond that unbiased, off by ``relative_error``."""
        if len(self._heap) < self.k:
            return float(len(self._heap))
        return (self.k - 1) * _SPAN / (1 - self._heap[0])

    @property
    def relative_error(self) -> float:
        """The standard error of ``distinct`` as a share of it, once there are more than ``k`` keys."""
        return 1.0 / math.sqrt(self.k - 2)

    def values(self) -> list[T]:
        """The values of a uniform sample of the distinct keys seen, without replacement, in the order of the hashes."""
        return [self._values[hashed] for hashed in sorted(self._values)]

    def merge(self, other: BottomK[T]) -> BottomK[T]:
        """The sketch of both streams together; ``k`` and ``seed`` have to agree."""
        if (self.k, self.seed) != (other.k, other.seed):
            raise ValueError("sketches merge only with the same k and seed")
        merged: BottomK[T] = BottomK(self.k, self.seed)
        for hashed, value in (*self._values.items(), *other._values.items()):
            merged._keep(hashed, value)
        return merged

    def state(self) -> BottomKState[T]:
        """What is to be stored."""
        return BottomKState(self.k, self.seed, tuple(sorted(self._values.items(), key=lambda item: item[0])))

    @classmethod
    def from_state(cls, state: BottomKState[T]) -> BottomK[T]:
        """The sketch that was stored. A state this version can't have written is an ``InputError``."""
        hashes = [hashed for hashed, _ in state.entries]
        if state.version != VERSION:
            raise InputError(
                f"a sketch of version {state.version}, this is version {VERSION}",
                remedy="Read it with the release that wrote it, or build the sketch anew from the record",
            )
        rising = hashes == sorted(set(hashes)) and all(0 <= hashed < _SPAN for hashed in hashes)
        if not rising or not max(_SMALLEST, len(hashes)) <= state.k or not 0 <= state.seed < _SPAN:
            raise InputError(
                "a sketch needs a k of at least 3, a 64-bit seed and at most k rising 64-bit hashes",
                remedy="It was changed after it was written; build the sketch anew from the record",
            )
        sketch: BottomK[T] = cls(state.k, state.seed)
        for hashed, value in state.entries:
            sketch._keep(hashed, value)
        return sketch
