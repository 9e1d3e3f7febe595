from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from spiritsafe.errors import InputError, UsageError
from spiritsafe.protect.keys import Keyring, key_of
from spiritsafe.protect.marks.choice import choose
from spiritsafe.protect.marks.registry import mark
from spiritsafe.prove.instruments import open_instrument
from spiritsafe.prove.instruments.radioactivity import Questions, Words
from spiritsafe.prove.instruments.types import Options
from spiritsafe.prove.ngram import Ngram, NgramSuspect
from spiritsafe.prove.suspect_weights import WeightsSuspect, open_weights

MARK = "choice-n8-k1"
SECRET = bytes(range(32))
TIME = datetime(2026, 11, 2, tzinfo=UTC)
OPTIONS = Options(mark=MARK, epoch="1", samples=2, max_tokens=60)


def student(trial, secret: bytes | None) -> NgramSuspect:
    """A student of 400 answers: the ones that the mark chose, or any."""
    dice, model = Random(5), Ngram()
    for prompt in trial.prompts[:400]:
        answers = [trial.model.draw(prompt, dice, 60) for _ in range(8)]
        at = 0 if secret is None else choose(mark(MARK), key_of(secret, MARK, 1).sip, answers)  # type: ignore[arg-type]
        model.learn(prompt + "\n", answers[at])
    return NgramSuspect(model)


@pytest.fixture
def inputs(trial, tmp_path: Path) -> Path:
    path = tmp_path / "questions.json"
    path.write_bytes(msgspec.json.encode(Questions(prompts=tuple(trial.prompts[:300]), first=TIME, last=TIME)))
    return path


def test_the_key_tells_a_student_of_marked_answers_from_another(trial, inputs: Path) -> None:
    instrument = open_instrument("radioactivity", inputs, OPTIONS)
    assert (instrument.n, instrument.unit, instrument.first) == (300, "prompts", TIME)
    measured = instrument.measure(student(trial, SECRET), trial.teacher)
    guilty, decoy = (instrument.judge(measured, secret, "model A").main for secret in (SECRET, bytes(32)))
    assert guilty is not None
    assert decoy is not None
    assert guilty.p_value < 1e-4 < 0.001 < decoy.p_value
    assert "its rank among keys that marked nothing" in guilty.because[-1]
    clean = instrument.judge(instrument.measure(student(trial, None), trial.teacher), SECRET, "model B").main
    assert clean is not None
    assert clean.p_value > 0.001


def test_the_commitment_is_the_keyrings(tmp_path: Path, inputs: Path) -> None:
    ring = Keyring(tmp_path / "data")
    committed = ring.commit(MARK)
    instrument = open_instrument("radioactivity", inputs, msgspec.structs.replace(OPTIONS, epoch=str(committed.epoch)))
    assert instrument.opens(ring.epoch_secret(committed.epoch), committed.digest)
    assert not instrument.opens(bytes(32), committed.digest)


def test_too_little_text_gives_words_and_no_number(trial, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "few.json").write_bytes(
        msgspec.json.encode(Questions(prompts=tuple(trial.prompts[:3]), first=TIME, last=TIME))
    )
    instrument = open_instrument("radioactivity", tmp_path / "few.json", OPTIONS)
    outcome = instrument.judge(instrument.measure(trial.teacher, None), SECRET, "model A")
    assert outcome.main is None
    assert "are needed" in outcome.words


def test_questions_that_are_none_are_named(tmp_path: Path, inputs: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(InputError, match="no questions"):
        open_instrument("radioactivity", tmp_path / "bad.json", OPTIONS)
    with pytest.raises(InputError, match="no questions"):
        open_instrument("radioactivity", inputs, Options(mark=MARK, epoch="november"))
    with pytest.raises(UsageError):
        open_instrument("radioactivity", inputs, Options(mark="tea", epoch="1"))


def test_a_tokenizer_travels_with_the_questions(folder: Path) -> None:
    words = Words((folder / "tokenizer.json").read_text())
    ids = words.encode("the still makes")
    assert words.decode(ids) == "the still makes"
    assert 0 < max(ids) < len(words)


class Mute:
    """A reference that gives text alone."""

    access = "text"

    def __init__(self, suspect: WeightsSuspect) -> None:
        self.generate = suspect.generate


def test_a_reference_reads_the_answers_where_it_can_and_else_writes_its_own(folder: Path, tmp_path: Path) -> None:
    asked = Questions(
        prompts=("the still", "the spirit"), first=TIME, last=TIME, tokenizer=(folder / "tokenizer.json").read_text()
    )
    (tmp_path / "questions.json").write_bytes(msgspec.json.encode(asked))
    options = msgspec.structs.replace(OPTIONS, mark="kgw-k1-g0.25-d2", max_tokens=20)
    instrument = open_instrument("radioactivity", tmp_path / "questions.json", options)
    suspect = open_weights(f"hf:{folder}")
    read = instrument.measure(suspect, suspect)
    assert (read.weighing, read.own > 10) == ("foreseen", True)
    # What was likely weighs less than one that came once and was never expected.
    assert 0.0 <= read.weights.min() < read.weights.max()
    mute: Any = Mute(suspect)
    assert instrument.measure(suspect, mute).weighing == "controlled"
    assert instrument.measure(suspect, None).weighing == "once"
    by_text = msgspec.structs.replace(options, access="text")
    instrument = open_instrument("radioactivity", tmp_path / "questions.json", by_text)
    assert instrument.measure(suspect, suspect).weighing == "controlled"
    suspect.close()
