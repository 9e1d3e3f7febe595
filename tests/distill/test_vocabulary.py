from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from spiritsafe.distill.vocabulary import cut
from spiritsafe.errors import InputError, UsageError

TEXTS = ["The farmer has seventeen hens now.", "<|im_start|>user\nName three rivers<|im_end|>"]


def test_the_cut_tokenizer_reads_the_corpus_as_before(small_tokenizer: Tokenizer) -> None:
    small, kept = cut(small_tokenizer, TEXTS, 330)
    assert len(kept) == small.get_vocab_size() <= 330
    for text in TEXTS:
        assert [kept[i] for i in small.encode(text).ids] == small_tokenizer.encode(text).ids


def test_special_tokens_stay_special(small_tokenizer: Tokenizer) -> None:
    small, kept = cut(small_tokenizer, TEXTS, 300)
    assert kept[small.token_to_id("<|im_end|>")] == small_tokenizer.token_to_id("<|im_end|>")
    assert small.encode("<|im_end|>").ids == [small.token_to_id("<|im_end|>")]


@given(text=st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_survives_a_cut_tokenizer(small_tokenizer: Tokenizer, text: str) -> None:
    small, _ = cut(small_tokenizer, TEXTS, 280)
    ids = small.encode(text, add_special_tokens=False).ids
    if "<|im_" not in text:
        assert small.decode(ids, skip_special_tokens=False) == text


def test_every_kept_token_can_still_be_made(small_tokenizer: Tokenizer) -> None:
    small, _ = cut(small_tokenizer, TEXTS, 310)
    for token in small.get_vocab():
        text = small.decode([small.token_to_id(token)], skip_special_tokens=False)
        if "\ufffd" not in text:
            assert len(small.encode(text, add_special_tokens=False).ids) >= 1


def test_a_size_too_small_is_refused(small_tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="can't hold the 258 bytes and special tokens"):
        cut(small_tokenizer, TEXTS, 100)


def test_another_kind_of_tokenizer_is_refused() -> None:
    with pytest.raises(InputError, match="its tokenizer is WordLevel"):
        cut(Tokenizer(models.WordLevel({"a": 0}, unk_token="a")), TEXTS, 300)
