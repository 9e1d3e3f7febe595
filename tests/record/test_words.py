"""Words are cut the same everywhere, looked at once, and the table stays bounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.record import words
from spiritsafe.record.words import DIMENSIONS, LANGUAGES, MARK, NUMBER, SCRIPTS, WORD, WordTable, split_words


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Hello, World!", ["hello", ",", "world", "!"]),
        ("don't", ["don", "'", "t"]),
        ("in 1984 and 2026", ["in", "0000", "and", "0000"]),
        ("x_y", ["x", "y"]),
        ("日本語 text", ["日", "本", "語", "text"]),
        ("GRÖSSE", ["grösse"]),
        ("a" * 70, ["a" * 32, "a" * 32, "a" * 6]),
        ("\ud800", ["\ud800"]),
        (" \n\t", []),
    ],
)
def test_texts_are_cut_into_units(text: str, units: list[str]) -> None:
    assert split_words(text) == units


@given(st.text(max_size=200))
def test_units_have_no_space_and_bounded_length(text: str) -> None:
    assert all(0 < len(unit) <= 32 and not unit.isspace() for unit in split_words(text))


def test_what_is_known_of_a_word() -> None:
    table = words.word_table()
    texts = ["hello", "00", "!", "привет", "und", "漢"]
    ids, starts = table.ids(texts)
    assert starts.tolist() == list(range(7))
    assert table.kinds[ids].tolist() == [WORD, NUMBER, MARK, WORD, WORD, WORD]
    assert [SCRIPTS[s] for s in table.scripts[ids]] == ["latin", "none", "none", "cyrillic", "latin", "cjk"]
    assert [LANGUAGES[i] for i in np.flatnonzero(table.languages[ids[4]])] == ["de"]
    assert table.hashes[ids[0]] == words.word_hash("hello")
    assert (table.tokens[ids] > 0).all()
    found, sizes = table.trigrams_of(ids)
    assert sizes.tolist() == [5, 0, 0, 6, 3, 1]
    assert len(found) == 15


def test_a_word_is_looked_at_once() -> None:
    table = words.word_table()
    first, _ = table.ids(["unmistakable"])
    count = len(table)
    again, _ = table.ids(["Unmistakable UNMISTAKABLE"])
    assert again.tolist() == [first[0]] * 2
    assert len(table) == count


@given(st.lists(st.text(max_size=40) | st.sampled_from(["plain words", "naïve plain", ""]), max_size=5))
def test_texts_of_any_letters_are_numbered_side_by_side(texts: list[str]) -> None:
    table = words.word_table()
    ids, starts = table.ids(texts)
    wanted = [split_words(text) for text in texts]
    assert np.diff(starts).tolist() == [len(found) for found in wanted]
    assert [int(table.hashes[i]) for i in ids] == [words.word_hash(word) for found in wanted for word in found]


def test_a_full_table_starts_afresh_with_the_same_words() -> None:
    whole = words.word_table()
    table = WordTable(whole._embedding, whole._tokenizer, capacity=50)
    ids, _ = table.ids(["hello"])
    vector = table.vectors[ids[0]].copy()
    for number in range(40):
        table.ids([" ".join(f"{'abcdefghij'[number % 10]}{'klmnopqrst'[n]}{'uvwxyz'[number % 6]}" for n in range(10))])
        assert len(table) <= 60
    ids, _ = table.ids(["hello"])
    assert (table.vectors[ids[0]] == vector).all()
    assert table.trigrams_of(ids)[1].tolist() == [5]


def test_the_table_grows_within_one_call() -> None:
    whole = words.word_table()
    table = WordTable(whole._embedding, whole._tokenizer)
    letters = "abcdefghijklmnopqrstuvwxyz"
    text = " ".join(a + b + c for a in letters for b in letters for c in letters[:3])
    ids, _ = table.ids([text])
    assert len(set(ids.tolist())) == len(table) == 26 * 26 * 3
    assert table.hashes[ids[-1]] == words.word_hash("zzc")


def test_a_words_vector_is_the_sum_of_its_tokens() -> None:
    table = words.word_table()
    ids, _ = table.ids(["distillation ."])
    pieces = table._tokenizer.encode("distillation", add_special_tokens=False).ids
    assert np.allclose(table.vectors[ids[0]], table._embedding[pieces].astype(np.float32).sum(axis=0))
    mark = table._tokenizer.token_to_id(".")
    assert np.allclose(table.vectors[ids[1]], table._embedding[mark].astype(np.float32))
    assert table.vectors.shape[1] == DIMENSIONS


def test_another_wheel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "wordllama"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "l2_supercat_256.safetensors"
    with pytest.raises(ResourceError, match=f"{name}: a file of the wordllama wheel is missing"):
        words._wheel_file("weights", name, words.WEIGHTS_SHA256)
    (package / "weights" / name).write_bytes(b"other weights")
    with pytest.raises(InputError, match="not the one sketches are defined by"):
        words._wheel_file("weights", name, words.WEIGHTS_SHA256)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ResourceError, match="not installed"):
        words._wheel_file("weights", name, words.WEIGHTS_SHA256)
