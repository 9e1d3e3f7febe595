"""A row's distributions as bytes, and back. Little-endian; columns one after the other, so that each is one read.

sampled, n positions: entries (u8, n), rounds (u8, n), entropy (f16, n), then for every entry the id's low 16 bits
(u16) and, in a narrow vocabulary, its high 2 bits above a 6-bit count less one (u8); in a wide one its high 8 bits
(u8) and the count less one (u8). topk: entries (u16, n), low 16 bits (u16), high 8 bits (u8, only above 65,536
tokens), logprobs (f16).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spiritsafe.distill.cache.types import NARROW
from spiritsafe.errors import BrokenRecord

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

SHORT = 1 << 16
COUNT_BITS = 6


class Sample(NamedTuple):
    """``lengths``, ``rounds``, ``entropy`` (n,); ``ids`` and ``counts`` flat, position after position."""

    lengths: Ints
    rounds: Ints
    entropy: Floats
    ids: Ints
    counts: Ints


class Top(NamedTuple):
    """``lengths`` (n,); ``ids`` and ``logprobs`` flat, position after position, likeliest first."""

    lengths: Ints
    ids: Ints
    logprobs: Floats


def pack_sample(sample: Sample, vocabulary: int) -> bytes:
    """The bytes of a row's sample."""
    columns = [
        sample.lengths.astype("u1"),
        sample.rounds.astype("u1"),
        sample.entropy.astype("<f2"),
        (sample.ids & (SHORT - 1)).astype("<u2"),
    ]
    high, count = sample.ids >> 16, sample.counts - 1
    if vocabulary <= NARROW:
        columns.append((high << COUNT_BITS | count).astype("u1"))
    else:
        columns += [high.astype("u1"), count.astype("u1")]
    return b"".join(c.tobytes() for c in columns)


def unpack_sample(data: memoryview, positions: int, vocabulary: int) -> Sample:
    """What ``pack_sample`` packed."""
    take = _Taker(data)
    lengths, rounds, entropy = take("u1", positions), take("u1", positions), take("<f2", positions)
    entries = int(lengths.sum(dtype=np.int64))
    ids = take("<u2", entries).astype(np.int64)
    if vocabulary <= NARROW:
        both = take("u1", entries).astype(np.int64)
        high, count = both >> COUNT_BITS, both & ((1 << COUNT_BITS) - 1)
    else:
        high, count = take("u1", entries).astype(np.int64), take("u1", entries).astype(np.int64)
    take.end()
    return Sample(
        lengths.astype(np.int64), rounds.astype(np.int64), entropy.astype(np.float32), ids | high << 16, count + 1
    )


def pack_top(top: Top, vocabulary: int) -> bytes:
    """The bytes of a row's likeliest tokens."""
    columns = [top.lengths.astype("<u2"), (top.ids & (SHORT - 1)).astype("<u2")]
    if vocabulary > SHORT:
        columns.append((top.ids >> 16).astype("u1"))
    columns.append(top.logprobs.astype("<f2"))
    return b"".join(c.tobytes() for c in columns)


def unpack_top(data: memoryview, positions: int, vocabulary: int) -> Top:
    """What ``pack_top`` packed."""
    take = _Taker(data)
    lengths = take("<u2", positions)
    entries = int(lengths.sum(dtype=np.int64))
    ids = take("<u2", entries).astype(np.int64)
    if vocabulary > SHORT:
        ids |= take("u1", entries).astype(np.int64) << 16
    logprobs = take("<f2", entries)
    take.end()
    return Top(lengths.astype(np.int64), ids, logprobs.astype(np.float32))


class _Taker:
    """Takes columns off the front of ``data``; more or less than there is means that the bytes are not ours."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def __call__(self, kind: str, count: int) -> NDArray[np.generic]:
        stop = self._at + np.dtype(kind).itemsize * count
        if stop > len(self._data):
            raise BrokenRecord("a row of the cache is cut short", remedy="Write the cache again.")
        found = np.frombuffer(self._data[self._at : stop], dtype=kind)
        self._at = stop
        return found

    def end(self) -> None:
        if self._at != len(self._data):
            raise BrokenRecord("a row of the cache is longer than it says", remedy="Write the cache again.")
