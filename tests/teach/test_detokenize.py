from __future__ import annotations

from codecs import getincrementaldecoder

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from spiritsafe.errors import InputError
from spiritsafe.teach.detokenize import Pieces, TextStream, pieces


def by_bytes(*data: bytes) -> Pieces:
    return Pieces(data, strip=False)


def shown(stream: TextStream, tokens: list[int]) -> tuple[str, int, bool]:
    """All that is released, how many tokens belong to it, and whether a stop string ended it."""
    text, count = "", 0
    for token in tokens:
        released = stream.push(token)
        text, count = text + released.text, released.tokens
        if released.stopped:
            return text, count, True
    released = stream.finish()
    return text + released.text, released.tokens, released.stopped


@given(st.lists(st.integers(0, 383), max_size=40))
def test_a_stream_of_any_tokens_is_what_decode_says_even_where_it_is_not_utf8(tokenizer, tokens) -> None:
    table = pieces(tokenizer)
    expected = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert shown(TextStream(table, ()), tokens) == (expected, len(tokens), False)
    assert table.join(tokens) == expected


@given(st.text(max_size=30))
def test_any_text_comes_back_and_no_half_character_is_shown(tokenizer, text) -> None:
    stream = TextStream(pieces(tokenizer), ())
    parts = [stream.push(token).text for token in tokenizer.encode(text, add_special_tokens=False)]
    assert "".join(parts) == text
    assert stream.finish().text == ""


def sentencepiece(*extra: str) -> PreTrainedTokenizerFast:
    vocabulary = {piece: index for index, piece in enumerate(["<unk>", "\u2581the", "\u2581", "a", *extra])}
    vocabulary |= {f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(256)}
    backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    backend.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend)


@given(st.lists(st.sampled_from(["\u2581the", "\u2581", "a", "東", "🥃"]), max_size=12))
def test_sentencepiece_with_byte_fallback_decodes_the_same(words) -> None:
    tokenizer = sentencepiece("東")
    vocabulary = tokenizer.get_vocab()
    tokens = [
        token
        for word in words
        for token in ([vocabulary[word]] if word in vocabulary else [vocabulary[f"<0x{b:02X}>"] for b in word.encode()])
    ]
    table = pieces(tokenizer)
    assert shown(TextStream(table, ()), tokens)[0] == table.join(tokens) == tokenizer.decode(tokens)


def test_special_tokens_and_ids_beyond_the_tokenizer_have_no_text(tokenizer) -> None:
    table = pieces(tokenizer)
    assert table[tokenizer.convert_tokens_to_ids("<|user|>")] == b""
    assert table[10**6] == b""


def test_an_added_token_that_is_not_special_is_shown() -> None:
    tokenizer = sentencepiece()
    tokenizer.add_tokens(["<tool_call>"])
    assert pieces(tokenizer)[tokenizer.convert_tokens_to_ids("<tool_call>")] == b"<tool_call>"


def test_a_decoder_that_is_not_known_is_refused() -> None:
    backend = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    backend.decoder = decoders.WordPiece()
    with pytest.raises(InputError, match="WordPiece"):
        pieces(PreTrainedTokenizerFast(tokenizer_object=backend))
    with pytest.raises(InputError, match="single tokens"):
        pieces(PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))))


def test_a_character_split_over_tokens_comes_out_whole_with_its_last_byte() -> None:
    stream = TextStream(by_bytes(b"a\xf0\x9f", b"\xa5", b"\x83b"), ())
    assert [stream.push(token).text for token in range(3)] == ["a", "", "🥃b"]


def test_half_a_character_at_the_end_is_replaced() -> None:
    assert shown(TextStream(by_bytes(b"a\xf0\x9f"), ()), [0]) == ("a\ufffd", 1, False)


def test_a_stop_string_split_over_tokens_is_not_shown() -> None:
    stream = TextStream(by_bytes(b"one #", b"#", b"# two"), ("###",))
    released = [stream.push(token) for token in range(3)]
    assert [each.text for each in released] == ["one ", "", ""]
    assert released[-1].stopped
    assert released[-1].tokens == 1


def test_what_only_looked_like_a_stop_string_is_shown_late_but_whole() -> None:
    stream = TextStream(by_bytes(b"#", b"#", b"x"), ("###",))
    assert [stream.push(token).text for token in range(3)] == ["", "", "##x"]


def test_the_earliest_of_several_stop_strings_counts() -> None:
    assert shown(TextStream(by_bytes(b"abcdef"), ("e", "cd")), [0]) == ("ab", 1, True)


def test_an_empty_stop_string_stops_nothing() -> None:
    assert shown(TextStream(by_bytes(b"abc"), ("",)), [0]) == ("abc", 1, False)


@given(
    st.lists(st.sampled_from([b"a", b"b", b"ab", b"ba", b"\xc3", b"\xa9", b""]), max_size=25),
    st.lists(st.text("abé", min_size=1, max_size=4), max_size=3),
)
@example([b"a", b"b", b"a"], ["b", "aba"])  # "b" is complete first, though "aba" would begin before it
def test_streaming_with_stop_strings_cuts_at_the_first_that_is_complete(data, stops) -> None:
    decoder, seen = getincrementaldecoder("utf-8")("replace"), ""
    cuts: list[int] = []
    for number, piece in enumerate(data):
        seen += decoder.decode(piece, final=number == len(data) - 1)
        cuts = [at for at in (seen.find(stop) for stop in stops) if at >= 0]
        if cuts:
            break
    text, count, stopped = shown(TextStream(Pieces(tuple(data), strip=False), stops), list(range(len(data))))
    assert stopped == bool(cuts)
    assert text == (seen[: min(cuts)] if cuts else seen)
    if not stopped:
        assert count == len(data)


@given(st.lists(st.sampled_from([b"a", b"b", b"ab", b"\xc3", b"\xa9"]), max_size=25))
def test_tokens_are_released_in_order_and_never_before_their_text(data) -> None:
    stream, out, last = TextStream(Pieces(tuple(data), strip=False), ("abab",)), 0, 0
    for token in range(len(data)):
        released = stream.push(token)
        out += len(released.text)
        assert last <= released.tokens <= token + 1
        assert released.tokens == 0 or out > 0
        last = released.tokens
        if released.stopped:
            break
