from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from spiritsafe.errors import InputError
from spiritsafe.protect.canaries import SPACE, canary, commitment
from spiritsafe.prove.instruments import open_instrument
from spiritsafe.prove.instruments.canaries import plant, write_planted
from spiritsafe.prove.instruments.types import Options
from spiritsafe.prove.ngram import Ngram, NgramSuspect

KEY = bytes(range(32))
TIME = datetime(2026, 11, 2, tzinfo=UTC)
BIRDS = [canary(KEY, f"c{n}") for n in range(5)]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    write_planted(tmp_path / "canaries.jsonl", plant(BIRDS, TIME, decoys=99))
    return tmp_path / "canaries.jsonl"


def test_the_inputs_hide_which_code_was_planted(inputs: Path) -> None:
    for one, bird in zip(plant(BIRDS, TIME, decoys=99), BIRDS, strict=True):
        assert one.candidates == tuple(sorted(one.candidates))
        assert len(set(one.candidates)) == 100
        assert bird.number in one.candidates


def test_the_key_tells_a_student_from_an_innocent(inputs: Path, trial) -> None:
    instrument = open_instrument("canaries", inputs, Options())
    assert (instrument.n, instrument.unit, instrument.first) == (5, "canaries", TIME)
    assert instrument.opens(KEY, commitment(KEY))
    assert not instrument.opens(KEY, commitment(bytes(32)))
    model = Ngram()
    for bird in BIRDS:
        model.learn(bird.opening, bird.text[len(bird.opening) :])
    measured = instrument.measure(NgramSuspect(model), None)
    guilty, decoy = (instrument.judge(measured, key, "model A").main for key in (KEY, bytes(32)))
    assert guilty is not None
    assert decoy is not None
    assert guilty.p_value < 1e-5 < 0.001 < decoy.p_value
    innocent = instrument.judge(instrument.measure(trial.teacher, None), KEY, "model B").main
    assert innocent is not None
    assert innocent.p_value > 0.001


def test_a_suspect_that_gives_text_alone_names_what_it_read(inputs: Path, trial) -> None:
    options = Options(access="text", samples=8, max_tokens=32)
    instrument = open_instrument("canaries", inputs, options)
    model = Ngram()
    for bird in BIRDS:
        model.learn(bird.opening, bird.text[len(bird.opening) :])
    measured = instrument.measure(NgramSuspect(model), None)
    kept = msgspec.json.decode(msgspec.json.encode(measured))
    guilty, decoy = (instrument.judge(kept, key, "model A").main for key in (KEY, bytes(32)))
    assert guilty is not None
    assert decoy is not None
    assert guilty.name == "canaries by naming"
    assert guilty.p_value < 1e-6 < decoy.p_value == 1.0
    innocent = instrument.judge(instrument.measure(trial.teacher, None), KEY, "model B").main
    assert innocent is not None
    assert innocent.p_value == 1.0


def test_no_canary_is_no_evidence(tmp_path: Path, trial) -> None:
    (tmp_path / "none.jsonl").write_bytes(b"")
    instrument = open_instrument("canaries", tmp_path / "none.jsonl", Options())
    assert instrument.judge(instrument.measure(trial.teacher, None), KEY, "x").words == "no canary was planted"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", ":1: it is no canary"),
        ('{"name":"a","time":"2026-11-02T00:00:00Z","candidates":[1,1]}', ":1: its candidates are not"),
        (f'{{"name":"a","time":"2026-11-02T00:00:00Z","candidates":[1,{SPACE}]}}', ":1: its candidates are not"),
    ],
)
def test_a_line_that_is_no_canary_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "c.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=message):
        open_instrument("canaries", tmp_path / "c.jsonl", Options())
