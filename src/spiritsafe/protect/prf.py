"""The keyed function behind every mark: SipHash-2-4, vectorised.

An n-gram is ``k`` context ids and one token id, each below 2**32. Its lane is cut out of
``SipHash-2-4(key, context ids then block, 4 little-endian bytes each)``: with 64 // bits lanes in a block, token t is
lane ``t % lanes`` (lowest bits first) of block ``t // lanes``. So one evaluation serves 8 neighbouring tokens at 8
bits, which is what makes drawing cheap, and the lanes of distinct n-grams are distinct bits of a pseudorandom
function's values. Source: Aumasson & Bernstein (2012), "SipHash: a fast short-input PRF". Its 128-bit key is the
first half of a key that HKDF derived (``keys``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]
"""Token ids, or hashes of words, in the order of the text; or n-grams of them, one a row."""

Lanes = npt.NDArray[np.uint32]
"""Keyed random numbers, uniform below 2**bits, one for each n-gram: the last token after its context."""

Bits = Literal[8, 32]

Word64 = npt.NDArray[np.uint64]
SipKey = tuple[int, int]
"""The two halves of a SipHash key, the first 8 bytes (little-endian) first."""

CHUNK = 16384
"""Elements worked on at once: four state words and a scratch of this size stay in the second-level cache."""

_INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def sip_key(secret: bytes) -> SipKey:
    """The SipHash key in the first 16 bytes of a secret."""
    return int.from_bytes(secret[:8], "little"), int.from_bytes(secret[8:16], "little")


def siphash(keys: Word64, rows: Words) -> Word64:
    """SipHash-2-4 of each row of ids (``[n, m]``, 4 bytes each); ``keys`` is ``[2]``, or ``[2, n]`` for one each."""
    out = np.empty(rows.shape[0], dtype=np.uint64)
    for start in range(0, rows.shape[0], CHUNK):
        piece = slice(start, start + CHUNK)
        key = keys[:, piece] if keys.ndim == 2 else keys
        out[piece] = _siphash(key, rows[piece])
    return out


def lanes(key: SipKey, ngrams: Words, bits: Bits) -> Lanes:
    """The lane of each n-gram: a row of ``ngrams`` (``[n, k + 1]``)."""
    return _cut(siphash(np.array(key, dtype=np.uint64), _blocks(ngrams, bits)), ngrams[:, -1], bits)


def lanes_of_vocabulary(key: SipKey, context: Sequence[int], size: int, bits: Bits) -> Lanes:
    """The lanes of tokens 0 to ``size - 1`` after ``context``: what drawing needs at a step."""
    per_block = 64 // bits
    blocks = -(-size // per_block)
    rows = np.empty((blocks, len(context) + 1), dtype=np.uint32)
    rows[:, :-1] = np.asarray(context, dtype=np.uint32)
    rows[:, -1] = np.arange(blocks, dtype=np.uint32)
    values = siphash(np.array(key, dtype=np.uint64), rows).astype("<u8", copy=False)
    return values.view("<u1" if bits == 8 else "<u4")[:size].astype(np.uint32, copy=False)


def lanes_under_keys(keys: Word64, ngrams: Words, bits: Bits) -> Lanes:
    """Lanes ``[m, n]`` of the same n-grams under ``m`` keys (``[m, 2]``): for decoys."""
    blocks = _blocks(ngrams, bits)
    n, m = blocks.shape[0], keys.shape[0]
    values = siphash(np.repeat(keys.T, n, axis=1), np.tile(blocks, (m, 1)))
    return _cut(values, np.tile(ngrams[:, -1], m), bits).reshape(m, n)


def _blocks(ngrams: Words, bits: Bits) -> Words:
    rows = np.array(ngrams, dtype=np.uint32)
    rows[:, -1] //= np.uint32(64 // bits)
    return rows


def _cut(values: Word64, tokens: Words, bits: Bits) -> Lanes:
    shift = (tokens % np.uint32(64 // bits)).astype(np.uint64) * np.uint64(bits)
    return ((values >> shift) & np.uint64(2**bits - 1)).astype(np.uint32)


def _siphash(keys: Word64, rows: Words) -> Word64:
    n, m = rows.shape
    scratch = np.empty(n, dtype=np.uint64)
    v0, v1, v2, v3 = (np.empty(n, dtype=np.uint64) for _ in range(4))
    for state, half, constant in ((v0, 0, 0), (v1, 1, 1), (v2, 0, 2), (v3, 1, 3)):
        np.bitwise_xor(keys[half], np.uint64(_INITIAL[constant]), out=state)
    wide = rows.astype(np.uint64)
    for word in (*(wide[:, i] | (wide[:, i + 1] << np.uint64(32)) for i in range(0, m - 1, 2)), _last(wide, m)):
        v3 ^= word
        for _ in range(2):
            _round(v0, v1, v2, v3, scratch)
        v0 ^= word
    v2 ^= np.uint64(0xFF)
    for _ in range(4):
        _round(v0, v1, v2, v3, scratch)
    v0 ^= v1
    v0 ^= v2
    v0 ^= v3
    return v0


def _last(wide: Word64, m: int) -> Word64:
    """The closing word: the number of bytes in its top byte, and the id that is left over when m is odd."""
    length = np.uint64(((4 * m) & 0xFF) << 56)
    return wide[:, -1] | length if m % 2 else np.full(wide.shape[0], length, dtype=np.uint64)


def _round(v0: Word64, v1: Word64, v2: Word64, v3: Word64, scratch: Word64) -> None:
    v0 += v1
    v2 += v3
    _rotate(v1, 13, scratch)
    _rotate(v3, 16, scratch)
    v1 ^= v0
    v3 ^= v2
    _rotate(v0, 32, scratch)
    v0 += v3
    v2 += v1
    _rotate(v3, 21, scratch)
    _rotate(v1, 17, scratch)
    v3 ^= v0
    v1 ^= v2
    _rotate(v2, 32, scratch)


def _rotate(v: Word64, by: int, scratch: Word64) -> None:
    np.right_shift(v, np.uint64(64 - by), out=scratch)
    v <<= np.uint64(by)
    v |= scratch
