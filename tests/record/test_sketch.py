"""A sketch is small, the same one by one and in batches, and says about a text what detectors ask."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import fields

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.record import words
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.sketch import (
    ALL_PARTS,
    HEAD,
    MAX_NGRAMS,
    MAX_TRIGRAMS,
    PAIR,
    SKETCH,
    TAIL,
    Counts,
    SketchColumns,
    TextSketch,
    columns_of,
    jaccard,
    join,
    read_sketch,
    sketch,
    sketch_text,
    sketch_texts,
)

Make = Callable[..., Exchange]
TEXTS = st.text(max_size=300) | st.lists(st.sampled_from(["the", "cat", "sat", "9", "?", "Über", "漢字"])).map(" ".join)
LONG = " ".join(f"{a}{b}{c}" for a in "abcdefghij" for b in "klmnop" for c in "qrstuv")


def same(left: SketchColumns, right: SketchColumns) -> bool:
    for field in fields(SketchColumns):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if isinstance(a, Counts):
            if not all((getattr(a, f.name) == getattr(b, f.name)).all() for f in fields(Counts)):
                return False
        elif not np.array_equal(a, b):
            return False
    return True


@settings(max_examples=50)
@given(st.lists(TEXTS, max_size=6), st.binary(max_size=64))
def test_one_by_one_and_in_batches_are_the_same(texts: list[str], key: bytes) -> None:
    together = sketch_texts(texts, key, chunk=4)
    assert len(together) == len(texts)
    assert [together.row(at) for at in range(len(texts))] == [sketch_text(text, key) for text in texts]


@given(st.lists(TEXTS, max_size=6))
def test_stored_sketches_come_back_as_columns(texts: list[str]) -> None:
    together = sketch_texts(texts)
    rows = [msgspec.convert(msgspec.to_builtins(together.row(at)), TextSketch) for at in range(len(texts))]
    assert same(columns_of(rows), together)


def test_sketches_never_change() -> None:
    """A new MinHash or another hash needs another name, or stored sketches would be compared with what they aren't."""
    assert SKETCH == (
        "text-1:words=1-2/2^16/144:characters=3/2^15/96:minhash=rensa-r2/2/64:embedding=wordllama-64b47a2d"
    )
    text = "Wie viele Äpfel hat Anna? She had 12 apples, и съела 3. 漢字 " + LONG
    made = msgspec.structs.replace(sketch_text(text, b"key"), embedding=b"", core=b"")
    assert (
        hashlib.sha256(msgspec.msgpack.encode(made)).hexdigest()
        == "ac40424cf5fffa5e9d87b980cfbda98ec6e35c14a10bc1e1a20aad583ebe0e94"
    )


@given(st.text(max_size=3000))
@settings(max_examples=30)
def test_a_sketch_is_small(text: str) -> None:
    made = sketch_text(text * 4)
    assert len(msgspec.msgpack.encode(made)) < 1900
    assert len(made.ngrams) <= MAX_NGRAMS * PAIR.itemsize
    assert len(made.trigrams) <= MAX_TRIGRAMS * PAIR.itemsize


def test_an_exchanges_sketch_is_small_and_comes_back(make: Make) -> None:
    exchange = make(
        messages=(Message("user", "earlier"), Message("assistant", "yes"), Message("user", LONG)),
        system=LONG,
        completion=LONG,
        reasoning=LONG,
    )
    stored = sketch(exchange, b"key")
    found = read_sketch(msgspec.json.decode(msgspec.json.encode(stored)))
    assert (found.name, found.turns) == (SKETCH, 3)
    assert found.prompt == sketch_text(LONG, b"key")
    assert found.system == found.completion == found.reasoning
    assert found.system is not None
    assert found.system.template == found.prompt.template
    assert len(msgspec.msgpack.encode(found)) < 2300
    assert sketch(make(sketch=stored)) is stored
    bare = read_sketch(sketch(make(messages=None, system=None, completion=None)))
    assert (bare.prompt, bare.system, bare.completion, bare.reasoning, bare.turns) == (None,) * 4 + (0,)


def test_another_sketch_is_not_read() -> None:
    with pytest.raises(InputError, match="was made as 'text-0'"):
        read_sketch({"name": "text-0"}, "row 3")
    with pytest.raises(InputError, match="row 3: a stored sketch can't be read"):
        read_sketch({"name": SKETCH, "prompt": 3}, "row 3")


def test_lengths_and_hints() -> None:
    text = "The cat sat on the mat.\nIt was 12 years old, is it not?"
    made = sketch_text(text)
    assert (made.chars, made.lines, made.words, made.numbers, made.marks) == (len(text), 2, 13, 1, 3)
    hints = {
        "Wie viele Äpfel sind das und wo ist der Korb?": ("latin", "de"),
        "¿Cuál es la capital de España y por qué?": ("latin", "es"),
        "Что это такое и как это работает?": ("cyrillic", "ru"),
        "これは何ですか": ("cjk", None),
        "이것은 무엇입니까": ("hangul", None),
        "12 + 5": (None, None),
        "": (None, None),
    }
    assert {text: (sketch_text(text).script, sketch_text(text).language) for text in hints} == hints


def test_digests_are_keyed_and_say_what_is_equal() -> None:
    one, two = sketch_text("Solve 12 apples", b"key"), sketch_text("solve 34 APPLES", b"key")
    assert one.digest != two.digest
    assert (one.template, one.opening, one.closing) == (two.template, two.opening, two.closing)
    other = sketch_text("Solve 12 apples", b"yek")
    assert all(getattr(one, name) != getattr(other, name) for name in ("digest", "template", "opening", "closing"))
    start = "please read the following text and then explain it"
    first, second = sketch_text(f"{start} in one way"), sketch_text(f"{start} in quite another")
    assert first.opening == second.opening
    assert first.closing != second.closing
    assert first.template != second.template


def test_the_core_of_a_question_stays_when_it_is_lightly_reworded() -> None:
    text = "Natalia sold clips to 48 of her friends in April and then she sold half as many clips in May"
    core = sketch_text(text, b"key").core
    again = text.replace("48", "57")
    for varied in (f"hey, {text.lower()} thanks", f"please help. {again}?", f"ok so {text} be brief."):
        assert sketch_text(varied, b"key").core == core
    assert sketch_text(text, b"yek").core != core
    assert sketch_text(text.replace("Natalia", "Benedetta"), b"key").core != core
    assert len({sketch_text(text).core for text in ("", "?", "the", "12", "the the")}) == 4


def test_sketches_from_before_there_were_cores_have_their_template_instead() -> None:
    old = msgspec.structs.replace(sketch_text("what is the capital of France"), core=b"")
    assert columns_of([old]).core.tolist() == columns_of([old]).template.tolist()


@pytest.mark.parametrize("text", ["\ud800", "a \udfff b", "x" * 40_000 + "\ud83d"])
def test_a_lone_surrogate_is_read_as_a_mark_of_its_own(text: str) -> None:
    assert sketch_text(text).chars == len(text)
    assert sketch_texts([text, "hello"]).row(1) == sketch_text("hello")


def test_near_duplicates_are_near() -> None:
    text = "Natalia sold clips to 48 of her friends in April and then she sold half as many clips in May"
    varied = f"quick question: {text.replace('48', '57')} please"
    columns = sketch_texts([text, varied, "Translate this sentence into French and explain every choice you make"])
    assert columns.minhash is not None
    assert jaccard(columns.minhash[0], columns.minhash[1]) > 0.5
    assert jaccard(columns.minhash[0], columns.minhash[2]) < 0.1


def test_jaccard_is_estimated_without_bias() -> None:
    base = [f"w{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(200)]
    pairs = [" ".join(base), " ".join(base[:100] + [word + "x" for word in base[100:]])]
    minhash = sketch_texts(pairs).minhash
    assert minhash is not None
    shared, union = 100, 300
    assert abs(jaccard(minhash[0], minhash[1]) - shared / union) < 4 * (1 / 3 * 2 / 3 / 64) ** 0.5


def test_long_texts_keep_their_edges_and_a_common_sample() -> None:
    request = "now think step by step and show all of your reasoning"
    alone = sketch_texts([request]).ngrams
    both = sketch_texts([f"{LONG} {request}", f"{request} {LONG}"])
    assert alone is not None
    assert both.ngrams is not None
    units = {words.word_hash(word) >> 48 for word in request.split()}
    for row in (0, 1):
        held = set(both.ngrams.ids[both.ngrams.starts[row] : both.ngrams.starts[row + 1]].tolist())
        assert len(held) == MAX_NGRAMS
        assert units <= held
        assert both.distinct[row] > MAX_NGRAMS


def test_counts_are_capped() -> None:
    made = sketch_text("again " * 1000)
    pairs = np.frombuffer(made.ngrams, dtype=PAIR)
    assert pairs["count"].max() == 255
    assert made.words == 1000


def test_only_the_ends_of_a_huge_text_are_read() -> None:
    text = "a" + " b" * HEAD + " c" * TAIL
    made = sketch_text(text)
    assert made.chars == len(text)
    assert made.words == HEAD // 2 + TAIL // 2
    assert made.digest != sketch_text(text.replace("a b b", "a b  b")).digest


def test_parts_can_be_left_out() -> None:
    for part in sorted(ALL_PARTS):
        columns = sketch_texts(["hello world"], parts=frozenset({part}))
        assert [name for name in sorted(ALL_PARTS) if getattr(columns, name) is not None] == [part]
        row = columns.row(0)
        assert [name for name in sorted(ALL_PARTS) if getattr(row, name)] == [part]
        assert same(join([columns, columns]), sketch_texts(["hello world"] * 2, parts=frozenset({part})))


def test_the_embedding_is_the_models_own_up_to_case() -> None:
    text = "the chemist distilled the spirit twice , then aged it in oak for 0 years ."
    table = words.word_table()
    pieces = table._tokenizer.encode(text, add_special_tokens=False).ids
    wanted = table._embedding[pieces].astype(np.float64).mean(axis=0)
    found = np.frombuffer(sketch_text(text).embedding, dtype="<f2").astype(np.float64)
    assert abs(np.linalg.norm(found) - 1) < 1e-2
    assert found @ wanted / np.linalg.norm(wanted) > 0.97


def test_embeddings_bring_like_texts_together() -> None:
    columns = sketch_texts(
        ["How do I reset my bank card PIN?", "my debit card was blocked", "Prove the integral converges"]
    )
    assert columns.embedding is not None
    near, far = columns.embedding[0].astype(float) @ columns.embedding[1:].astype(float).T
    assert near > far + 0.1


def test_a_text_without_units_has_empty_parts() -> None:
    made = sketch_text("  \n ")
    assert (made.words, made.ngrams, made.trigrams) == (0, b"", b"")
    assert made.minhash == b"\xff" * 256
    assert made.embedding == bytes(512)
    assert (made.chars, made.lines) == (4, 2)
