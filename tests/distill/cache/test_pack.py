from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.distill.cache.pack import Sample, Top, pack_sample, pack_top, unpack_sample, unpack_top
from spiritsafe.distill.cache.types import NARROW, WIDEST
from spiritsafe.errors import BrokenRecord

SIZES = st.sampled_from([100, 1 << 16, (1 << 16) + 1, 151_936, NARROW, NARROW + 1, WIDEST])


@st.composite
def samples(draw):
    vocabulary = draw(SIZES)
    lengths = draw(st.lists(st.integers(0, 64), max_size=8))
    entries = sum(lengths)
    ids = draw(st.lists(st.integers(0, vocabulary - 1), min_size=entries, max_size=entries))
    counts = draw(st.lists(st.integers(1, 64), min_size=entries, max_size=entries))
    rounds = draw(st.lists(st.integers(1, 64), min_size=len(lengths), max_size=len(lengths)))
    entropy = np.array([float(np.float16(0.37 * i)) for i in range(len(lengths))], dtype=np.float32)
    whole = [np.array(x, dtype=np.int64) for x in (lengths, rounds, ids, counts)]
    return vocabulary, Sample(whole[0], whole[1], entropy, whole[2], whole[3])


@settings(max_examples=40)
@given(samples())
def test_a_sample_comes_back_as_it_went(case):
    vocabulary, sample = case
    data = pack_sample(sample, vocabulary)
    back = unpack_sample(memoryview(data), len(sample.lengths), vocabulary)
    for a, b in zip(sample, back, strict=True):
        np.testing.assert_array_equal(a, b)
    width = 3 if vocabulary <= NARROW else 4
    assert len(data) == 4 * len(sample.lengths) + width * len(sample.ids)


@settings(max_examples=40)
@given(SIZES, st.lists(st.integers(0, 300), max_size=6), st.data())
def test_the_likeliest_come_back_as_they_went(vocabulary, lengths, data):
    entries = sum(lengths)
    ids = np.array(data.draw(st.lists(st.integers(0, vocabulary - 1), min_size=entries, max_size=entries)), np.int64)
    logprobs = -np.arange(entries, dtype=np.float16).astype(np.float32) / 8
    top = Top(np.array(lengths, dtype=np.int64), ids, logprobs)
    packed = pack_top(top, vocabulary)
    back = unpack_top(memoryview(packed), len(lengths), vocabulary)
    for a, b in zip(top, back, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(packed) == 2 * len(lengths) + (4 if vocabulary <= 1 << 16 else 5) * entries


def test_a_row_that_is_cut_or_too_long_is_found():
    one = np.ones(3, dtype=np.int64)
    data = pack_sample(Sample(one, one, one.astype(np.float32), one, one), 100)
    for wrong in (data[:-1], data + b"\0", b""):
        with pytest.raises(BrokenRecord, match=r"cut short|longer"):
            unpack_sample(memoryview(wrong), 3, 100)
    top = pack_top(Top(one, one, -one.astype(np.float32)), 100)
    with pytest.raises(BrokenRecord, match="cut short"):
        unpack_top(memoryview(top[:-1]), 3, 100)
