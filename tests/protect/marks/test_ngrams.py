from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.protect.marks.ngrams import distinct, grouped, ngrams, tallied, without_contexts, words

sequences = st.lists(st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 3), max_size=30), max_size=5)


@given(sequences, st.integers(1, 4))
def test_each_ngram_stands_once_in_order_of_first_occurrence(texts: list[list[int]], k: int) -> None:
    expected = dict.fromkeys(tuple(text[i : i + k + 1]) for text in texts for i in range(len(text) - k))
    assert [tuple(row) for row in distinct(ngrams(texts, k)).tolist()] == list(expected)


@given(sequences, sequences, st.integers(1, 3))
def test_contexts_that_were_shown_are_left_out(texts: list[list[int]], shown: list[list[int]], k: int) -> None:
    rows, seen = distinct(ngrams(texts, k)), ngrams(shown, k)
    contexts = {tuple(row[:-1]) for row in seen.tolist()}
    expected = [row for row in rows.tolist() if tuple(row[:-1]) not in contexts]
    assert without_contexts(rows, seen).tolist() == expected


@given(sequences, st.integers(1, 3))
def test_tallies_are_counts_of_equal_rows(texts: list[list[int]], k: int) -> None:
    rows = ngrams(texts, k)
    found, counts = tallied(rows)
    assert dict(zip(map(tuple, found.tolist()), counts.tolist(), strict=True)) == Counter(map(tuple, rows.tolist()))
    _, doubled = tallied(rows, np.full(len(rows), 2.0))
    np.testing.assert_array_equal(doubled, 2 * counts)
    numbers = grouped(rows).tolist()
    assert len(set(zip(numbers, map(tuple, rows.tolist()), strict=True))) == len(found) == len(set(numbers))


def test_no_ngram_crosses_from_one_text_into_the_next() -> None:
    assert ngrams([[1, 2], [3, 4]], 1).tolist() == [[1, 2], [3, 4]]


def test_texts_too_short_for_a_context_give_nothing() -> None:
    assert ngrams([[1], []], 1).shape == (0, 2)
    assert distinct(ngrams([], 2)).shape == (0, 3)


def test_words_depend_neither_on_case_nor_on_spacing() -> None:
    np.testing.assert_array_equal(words("The still,  the SPIRIT."), words("the still, the spirit ."))
    assert len(words("the still, the spirit.")) == 6
    assert words("the still").tolist()[0] == words("safe the").tolist()[1]
