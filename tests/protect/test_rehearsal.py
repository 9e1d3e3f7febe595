from __future__ import annotations

from pydoc_data.topics import topics

import numpy as np
import pytest

from spiritsafe.protect.keys import key_of
from spiritsafe.protect.marks.registry import mark
from spiritsafe.protect.rehearsal import Chain, numbered

TEXTS = numbered([topics[name] for name in sorted(topics)[:20]])
KEY = key_of(bytes(32), "any", 1)


@pytest.mark.parametrize("order", [1, 2])
def test_a_chain_writes_only_what_it_has_seen(order: int) -> None:
    chain = Chain.of(TEXTS, order)
    seen = {tuple(row) for row in chain.rows.tolist()}
    text = chain.write(3, 200, np.random.default_rng(0))
    starts = [tuple(row[i : i + order + 1]) for row in text.tolist() for i in range(200 - order)]
    # A walk that comes to an end begins anew, and there alone an n-gram may be new.
    assert sum(ngram in seen for ngram in starts) > 0.9 * len(starts)


def test_probabilities_are_the_shares_of_each_context() -> None:
    chain = Chain.of([[1, 2, 1, 3, 1, 2]])
    assert dict(zip(map(tuple, chain.rows.tolist()), chain.probabilities().tolist(), strict=True)) == {
        (1, 2): pytest.approx(2 / 3),
        (1, 3): pytest.approx(1 / 3),
        (2, 1): 1.0,
        (3, 1): 1.0,
    }


@pytest.mark.parametrize("order", [1, 2])
def test_chances_are_the_probabilities_of_what_stands_there(order: int) -> None:
    chain = Chain.of([[1, 2, 1, 3, 1, 2]], order)
    expected = {1: [0.0, 1.0, 2 / 3, 0.0], 2: [0.0, 0.0, 1.0, 0.0]}[order]
    found = chain.chances([[3], [3, 1, 2, 9], [1, 2]])
    assert [one.tolist() for one in found] == [[0.0], pytest.approx(expected), [0.0, 2 / 3 if order == 1 else 0.0]]


def test_what_is_written_has_the_chain_s_frequencies() -> None:
    chain = Chain.of([[1, 2, 1, 3, 1, 2, 1]])
    text = chain.write(50, 400, np.random.default_rng(1))
    after = text[:, 1:][text[:, :-1] == 1]
    assert (after == 2).mean() == pytest.approx(2 / 3, abs=0.03)


def test_blending_takes_from_both_in_proportion() -> None:
    blend = Chain.of([[1, 2] * 20]).blended(Chain.of([[1, 3] * 20]), 0.25)
    after = {tuple(row): weight for row, weight in zip(blend.rows.tolist(), blend.weights.tolist(), strict=True)}
    assert after[1, 3] / (after[1, 2] + after[1, 3]) == pytest.approx(0.25)
    assert len(Chain.of([[1, 2] * 9]).blended(Chain.of([[1, 3] * 9]), 0.0).rows) == 2


def test_a_marked_chain_has_the_probabilities_that_marked_drawing_has() -> None:
    found = mark("kgw-k1-g0.25-d2")
    chain = Chain.of([[0, 1, 0, 2, 0, 3, 0, 4, 0]])
    marked = chain.marked(found, KEY)
    expected = marked.probabilities()[marked.rows[:, 0] == 0]
    texts = np.concatenate(chain.write_marked(found, KEY, 30, 400, np.random.default_rng(2)))
    drawn = texts[1:][texts[:-1] == 0]
    shares = [(drawn == token).mean() for token in (1, 2, 3, 4)]
    np.testing.assert_allclose(shares, expected, atol=0.03)


def test_a_mark_that_looks_further_back_than_the_chain_is_refused() -> None:
    with pytest.raises(ValueError, match="2 tokens of context"):
        Chain.of(TEXTS).marked(mark("kgw-k2-g0.25-d2"), KEY)


def test_there_must_be_something_to_learn() -> None:
    with pytest.raises(ValueError, match="nothing to learn"):
        Chain.of([[1]])


def test_contexts_beyond_two_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="one or two"):
        Chain.of([[1, 2, 3, 4, 5]], 3)


def test_words_are_numbered_over_all_texts() -> None:
    first, second = numbered(["The still.", "the safe"])
    assert first.tolist() == [0, 1, 2]
    assert second.tolist() == [0, 3]
