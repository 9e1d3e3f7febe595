from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.errors import InputError
from spiritsafe.protect import prf
from spiritsafe.protect.keys import MarkKey
from spiritsafe.protect.marks.detect import TEXT_EFFECT, TooFewTokens, decoy_totals, detect, encode, enough
from spiritsafe.protect.marks.ngrams import distinct, ngrams
from spiritsafe.protect.marks.registry import mark
from spiritsafe.protect.prf import Words
from spiritsafe.protect.rehearsal import Chain
from spiritsafe.stats import Exact, MonteCarlo

KGW = mark("kgw-k1-g0.25-d2")


def test_too_little_text_gets_a_number_of_tokens_and_no_p_value(key: MarkKey) -> None:
    with pytest.raises(TooFewTokens, match="at least") as caught:
        detect(KGW, key, [list(range(30))], subject="short")
    assert caught.value.have == 29
    assert caught.value.need == enough(TEXT_EFFECT) == 77


def test_repeating_itself_does_not_make_a_text_long(key: MarkKey) -> None:
    with pytest.raises(TooFewTokens, match="2 distinct"):
        detect(KGW, key, [[1, 2] * 500], subject="stuck")


def test_no_text_at_all_is_too_few_whatever_is_asked(key: MarkKey) -> None:
    with pytest.raises(TooFewTokens):
        detect(KGW, key, [], subject="none", need=0)


def test_both_results_say_how_they_came_about(writer: Chain, key: MarkKey) -> None:
    text = writer.marked(KGW, key).write(5, 200, np.random.default_rng(0))
    found = detect(KGW, key, text, subject="text", decoys=199, seed=4)
    assert found.exact.method == Exact("binomial, chance 0.25")
    assert found.decoys.method == MonteCarlo(n=199, seed=4)
    assert found.decoys.p_value == 1 / 200
    assert found.exact.n == len(distinct(ngrams(text, 1)))
    assert found.exact.interval is not None
    assert found.exact.interval[0] < found.exact.effect < found.exact.interval[1]


def test_a_p_value_is_never_zero(key: MarkKey) -> None:
    pairs = distinct(np.random.default_rng(0).integers(0, 50_000, (8000, 2), dtype=np.uint32))
    green = pairs[KGW.score(prf.lanes(key.sip, pairs, 8)) == 1.0]
    found = detect(KGW, key, list(green), subject="text", decoys=0).exact
    assert found.p_value > 0
    assert found.log10_e > 300


def test_marked_text_that_was_shown_and_copied_does_not_convict(writer2: Chain, key: MarkKey) -> None:
    """An innocent that quotes its prompt: found guilty if the prompt is forgotten, cleared if it is given as seen."""
    rng = np.random.default_rng(2)
    quoted = writer2.marked(KGW, key).write(10, 150, rng)
    own = writer2.write(10, 150, rng)
    text = [*quoted, *own]
    assert detect(KGW, key, text, subject="parrot", decoys=0).exact.p_value < 1e-6
    assert detect(KGW, key, text, subject="parrot", decoys=0, seen=quoted, need=1).exact.p_value > 0.01


def test_counting_repeats_would_ruin_the_null(english: list[Words]) -> None:
    """Why each n-gram counts once: with repeats the deviation over keys is several times what it should be."""
    text = np.concatenate(english[:12])
    every, once = ngrams([text], 1), distinct(ngrams([text], 1))
    spread = {
        name: decoy_totals(KGW, rows, 300, 0).std() / (KGW.sd * np.sqrt(len(rows)))
        for name, rows in {"every": every, "once": once}.items()
    }
    assert spread["once"] == pytest.approx(1.0, abs=0.15)
    assert spread["every"] > 1.5


def test_decoy_keys_agree_with_the_exact_null(english: list[Words], key: MarkKey) -> None:
    found = detect(mark("gumbel-k2"), key, english[:20], subject="English", decoys=2000)
    assert found.decoys.p_value == pytest.approx(found.exact.p_value, abs=0.05)


def test_a_mark_of_tokens_needs_a_tokenizer_and_one_of_words_does_not() -> None:
    with pytest.raises(InputError, match="no tokenizer"):
        encode(KGW, ["text"], None)
    assert len(encode(mark("choice-n4-k2"), ["some text"], None)[0]) == 2
