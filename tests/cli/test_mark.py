"""``spiritsafe mark``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spiritsafe.protect.keys import Keyring
from spiritsafe.protect.marks.choice import choose
from spiritsafe.protect.marks.registry import mark

CHOICE = "choice-n8-k1"
WORDS = ("still", "spirit", "glass", "safe", "drop", "copper", "cask", "key", "seal", "proof", "head", "tail")


@pytest.fixture
def committed(run, data: Path) -> Keyring:
    """Under a root that is the same every time: a null rejects once in a thousand keys."""
    root = data / "keys" / "marks.root"
    root.parent.mkdir(parents=True)
    root.write_text("3c" * 32)
    root.chmod(0o600)
    run("mark", "commit", CHOICE)
    return Keyring(data)


def answers(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    pairs = [zip(rng.choice(WORDS, 60), rng.integers(0, 40, 60), strict=True) for _ in range(count)]
    return [" ".join(f"{word}{number}" for word, number in pair) for pair in pairs]


def served(keyring: Keyring, count: int) -> list[str]:
    found: Any = mark(CHOICE)
    groups = [answers(8, seed) for seed in range(count)]
    return [group[choose(found, keyring.key().sip, group)] for group in groups]


def write(path: Path, texts: list[str], name: str = "completion") -> Path:
    path.write_text("".join(json.dumps({name: text}) + "\n" for text in texts))
    return path


def test_the_first_commit_says_what_to_publish(run, data: Path) -> None:
    made = run("mark", "commit", "kgw-k1-g0.25-d2", "--json").json
    assert made["mark_id"] == "kgw-k1-g0.25-d2@1"
    assert made["publish"] == str(data / "marks" / "commitments.jsonl")
    assert made["commitment"]["digest"] in Path(made["publish"]).read_text()
    again = run("mark", "commit", "gumbel-k2")
    assert again.code == 2
    assert "rotate" in again.err


def test_rotating_keeps_the_mark_or_changes_it(run, committed: Keyring) -> None:
    assert run("mark", "rotate", "--json").json["mark_id"] == f"{CHOICE}@2"
    assert run("mark", "rotate", "gumbel-k2", "--json").json["mark_id"] == "gumbel-k2@3"
    listed = run("mark", "list", "--json").json["commitments"]
    assert [(each["kind"], each["epoch"]) for each in listed] == [("root", 0), ("epoch", 1), ("epoch", 2), ("epoch", 3)]
    assert "gumbel-k2" in run("mark", "list").out


def test_before_any_commit_there_is_nothing_to_rotate(run) -> None:
    done = run("mark", "rotate")
    assert done.code == 2
    assert "mark commit" in done.err


@pytest.mark.parametrize("name", ["nonsense", "kgw-k1-g0.250-d2.0"])
def test_a_name_that_is_none_or_not_written_in_full_is_refused(run, data: Path, name: str) -> None:
    done = run("mark", "commit", name)
    assert done.code == 2
    assert not data.exists()


def test_marked_answers_are_found_and_others_are_not(run, committed: Keyring, tmp_path: Path) -> None:
    guilty = run("mark", "detect", str(write(tmp_path / "a.jsonl", served(committed, 40))), "--decoys", "199", "--json")
    assert guilty.code == 1
    found = json.loads(guilty.out)
    assert (found["verdict"], found["decoys"]["p_value"]) == ("rejects", 0.005)
    assert found["exact"]["p_value"] < 1e-9
    innocent = run("mark", "detect", str(write(tmp_path / "b.jsonl", answers(40, 999))), "--decoys", "0", "--json")
    assert innocent.json["verdict"] == "does-not-reject"


def test_another_epoch_s_key_finds_nothing(run, committed: Keyring, tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", served(committed, 40))
    run("mark", "rotate")
    assert run("mark", "detect", str(file), "--decoys", "0").code == 0
    assert run("mark", "detect", str(file), "--decoys", "0", "--epoch", "1").code == 1
    assert run("mark", "detect", str(file), "--decoys", "0", "--epoch", "1", "--tenant", "acme").code == 0


def test_a_plain_text_and_a_table_for_people(run, committed: Keyring, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("\n".join(served(committed, 40)))
    done = run("mark", "detect", str(file), "--decoys", "9")
    assert done.code == 1
    assert "rejects at 0.001" in done.out
    assert "distinct n-grams of words" in done.out


def test_too_little_text_is_undecided_and_says_how_much_is_missing(run, committed: Keyring, tmp_path: Path) -> None:
    file = tmp_path / "short.txt"
    file.write_text("only a few words")
    found = run("mark", "detect", str(file), "--json").json
    assert (found["verdict"], found["have"], found["need"]) == ("undecided", 3, 77)
    assert "undecided" in run("mark", "detect", str(file)).out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"completion": "x"}\nnot json\n', "bad.jsonl:2: it is no JSON"),
        ('{"prompt": "x"}\n', "no text in 'completion'"),
    ],
)
def test_a_wrong_line_is_named(run, committed: Keyring, tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    done = run("mark", "detect", str(file))
    assert done.code == 2
    assert words in done.err


def test_a_file_that_is_not_there_and_a_level_that_is_none(run, committed: Keyring, tmp_path: Path) -> None:
    assert "can't be read" in run("mark", "detect", str(tmp_path / "none.txt")).err
    assert "--alpha" in run("mark", "detect", str(tmp_path / "none.txt"), "--alpha", "2").err


@pytest.mark.model
def test_tokens_are_those_of_the_embedded_teacher(run, data: Path, tmp_path: Path) -> None:
    run("mark", "commit", "kgw-k1-g0.25-d2")
    file = write(tmp_path / "a.jsonl", answers(5, 1))
    found = run("mark", "detect", str(file), "--decoys", "0", "--json").json
    assert found["exact"]["unit"] == "distinct n-grams of tokens"


def test_a_folder_without_a_tokenizer_is_told(run, data: Path, tmp_path: Path) -> None:
    run("mark", "commit", "kgw-k1-g0.25-d2")
    file = write(tmp_path / "a.jsonl", answers(5, 1))
    done = run("mark", "detect", str(file), "--tokenizer", str(tmp_path))
    assert done.code == 2
    assert "there is no tokenizer" in done.err


def test_serving_with_a_mark_needs_its_commitment(run) -> None:
    done = run("teach", "serve", "hf:none", "--port", "0", "--mark", "gumbel-k2")
    assert done.code == 2
    assert "mark commit gumbel-k2" in done.err
