from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.protect.prf import CHUNK, Bits, lanes, lanes_of_vocabulary, lanes_under_keys, sip_key, siphash

KEY = sip_key(bytes(range(16)))

# SipHash-2-4 of 00, 0001, ... under the key 00..0f: the reference implementation's vectors for 4, 8 and 12 bytes.
VECTORS = {1: 0xCF2794E0277187B7, 2: 0x93F5F5799A932462, 3: 0x751E8FBC860EE5FB}


@pytest.mark.parametrize(("ids", "expected"), VECTORS.items())
def test_it_is_siphash_2_4(ids: int, expected: int) -> None:
    row = np.frombuffer(bytes(range(4 * ids)), dtype="<u4")[None, :]
    assert int(siphash(np.array(KEY, dtype=np.uint64), row)[0]) == expected


def plain_siphash(key: tuple[int, int], data: bytes) -> int:
    """The function as its paper writes it, in whole numbers."""
    mask = 2**64 - 1
    constants = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    v = [key[i % 2] ^ constant for i, constant in enumerate(constants)]

    def rotate(x: int, b: int) -> int:
        return ((x << b) | (x >> (64 - b))) & mask

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) & mask
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & mask
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    whole = len(data) // 8 * 8
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) % 256) << 56)
    for word in words:
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


@pytest.mark.parametrize("width", [1, 2, 3, 5, 9])
def test_many_rows_at_once_are_as_one_by_one(width: int) -> None:
    rows = np.random.default_rng(width).integers(0, 2**32, (CHUNK + 3, width), dtype=np.uint32)
    found = siphash(np.array(KEY, dtype=np.uint64), rows)
    for i in (0, 1, CHUNK - 1, CHUNK, CHUNK + 2):
        assert int(found[i]) == plain_siphash(KEY, rows[i].astype("<u4").tobytes())


@pytest.mark.parametrize("bits", [8, 32])
@pytest.mark.parametrize("context", [(5,), (70_000, 3)])
def test_drawing_and_reading_see_the_same_lanes(bits: Bits, context: tuple[int, ...]) -> None:
    drawn = lanes_of_vocabulary(KEY, context, 101, bits)
    ngrams = np.array([[*context, token] for token in range(101)], dtype=np.uint32)
    np.testing.assert_array_equal(drawn, lanes(KEY, ngrams, bits))


def test_a_lane_is_cut_from_its_block() -> None:
    value = plain_siphash(KEY, np.array([7, 11 // 8], dtype="<u4").tobytes())
    assert int(lanes(KEY, np.array([[7, 11]], dtype=np.uint32), 8)[0]) == value >> (8 * (11 % 8)) & 0xFF


@pytest.mark.parametrize("bits", [8, 32])
def test_lanes_under_many_keys_are_those_under_each(bits: Bits) -> None:
    rng = np.random.default_rng(0)
    ngrams = rng.integers(0, 50_000, (40, 2), dtype=np.uint32)
    keys = rng.integers(0, 2**64, (7, 2), dtype=np.uint64)
    together = lanes_under_keys(keys, ngrams, bits)
    for row, key in zip(together, keys.tolist(), strict=True):
        np.testing.assert_array_equal(row, lanes((key[0], key[1]), ngrams, bits))


@pytest.mark.parametrize("bits", [8, 32])
def test_lanes_are_uniform_and_neighbours_independent(bits: Bits) -> None:
    ngrams = np.array([[c, t] for c in range(100) for t in range(400)], dtype=np.uint32)
    u = lanes(KEY, ngrams, bits) / 2.0**bits
    counts = np.histogram(u, 16, (0, 1))[0]
    assert ((counts - 2500) ** 2 / 2500).sum() < 50  # chi-square, 15 degrees of freedom: 50 is 1 in 80,000
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.025


def test_another_key_gives_other_lanes() -> None:
    ngrams = np.array([[1, t] for t in range(1000)], dtype=np.uint32)
    same = lanes(KEY, ngrams, 32) == lanes(sip_key(bytes(range(1, 17))), ngrams, 32)
    assert not same.any()
