"""The quick way to cut texts finds what the plain way finds, and numbers keep apart what differs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.record.units import LONGEST, Numbers, cut
from spiritsafe.record.words import IDEOGRAPH, split_words

ASCII = st.text(st.characters(max_codepoint=127), max_size=120)
LETTERS = (
    st.text(st.characters(), max_size=60)
    | st.text(st.sampled_from("aÄßİΣσςé’“–𝟙٣١क्षिไทยアé \u0301\ud800😀_1"), max_size=60)
).filter(lambda text: not IDEOGRAPH.search(text))
RUNS = st.integers(0, 100).map("Ab9".__mul__)
SEED = np.uint64(7)


@given(st.lists(ASCII | RUNS | st.just("x_y, A1\x1c\x00b"), max_size=6) | st.lists(LETTERS | RUNS, max_size=6))
def test_texts_are_cut_as_the_plain_way_cuts_them(texts: list[str]) -> None:
    units = cut(texts, SEED)
    assert len(units.starts) == len(texts) + 1
    for place, text in enumerate(texts):
        here = range(int(units.starts[place]), int(units.starts[place + 1]))
        assert [units.word(at) for at in here] == split_words(text)


@given(st.lists(ASCII | RUNS, max_size=6) | st.lists(LETTERS | RUNS, max_size=6))
def test_units_have_one_key_if_and_only_if_they_are_one_word(texts: list[str]) -> None:
    units = cut(texts, SEED)
    words = [units.word(at) for at in range(len(units.keys))]
    assert len(set(zip(words, units.keys.tolist(), strict=True))) == len(set(words)) == len(set(units.keys.tolist()))


def test_words_that_differ_in_any_byte_have_other_keys_and_the_seed_changes_them() -> None:
    word = "a" * LONGEST
    others = [word[:at] + "b" + word[at + 1 :] for at in range(LONGEST)] + [word[:at] for at in range(1, LONGEST)]
    keys = cut([word, *others], SEED).keys
    assert len(set(keys.tolist())) == len(keys) == 64
    assert not set(keys.tolist()) & set(cut([word, *others], np.uint64(8)).keys.tolist())


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 90), unique=True, max_size=200))
def test_numbers_are_found_again_also_when_the_table_has_grown(keys: list[int]) -> None:
    numbers = Numbers(4)
    row = np.array(keys, dtype=np.uint64)
    assert (numbers.find(row) == -1).all()
    for part in np.array_split(np.arange(len(row)), 3):
        numbers.put(row[part], part)
    assert numbers.find(row).tolist() == list(range(len(keys)))
    assert (
        numbers.find(np.array([k ^ 1 << 40 for k in keys if k ^ 1 << 40 not in set(keys)], np.uint64)).max(initial=-1)
        == -1
    )
    numbers.clear()
    assert (numbers.find(row) == -1).all()
