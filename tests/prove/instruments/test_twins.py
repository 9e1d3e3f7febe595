from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from spiritsafe.errors import InputError
from spiritsafe.protect import twins as drawn
from spiritsafe.prove.instruments import open_instrument
from spiritsafe.prove.instruments.types import Options

EPOCH = Options(epoch="2026-11")
KEY = bytes(range(32))


def test_it_measures_without_a_key_and_is_judged_with_one(affair) -> None:
    instrument = open_instrument("twins", affair.folder / "pairs.jsonl", EPOCH)
    assert (instrument.n, instrument.unit) == (80, "pairs")
    assert instrument.first == instrument.last == datetime(2026, 11, 2, tzinfo=UTC)
    assert instrument.opens(KEY, drawn.commitment(KEY, "2026-11"))
    assert not instrument.opens(bytes(32), drawn.commitment(KEY, "2026-11"))
    measured = instrument.measure(affair.models["guilty"], None)
    guilty = instrument.judge(measured, KEY, "model A")
    decoy = instrument.judge(measured, bytes(32), "model A")
    assert guilty.main is not None
    assert decoy.main is not None
    assert guilty.main.p_value < 1e-6 < 1e-3 < decoy.main.p_value
    assert [part.subject for part in guilty.parts] == [f"model A from t{n}" for n in range(4)]


def test_text_alone_is_used_where_it_is_asked_for(affair) -> None:
    options = msgspec.structs.replace(EPOCH, access="text", samples=1)
    instrument = open_instrument("twins", affair.folder / "pairs.jsonl", options)
    outcome = instrument.judge(instrument.measure(affair.models["guilty"], None), KEY, "model A")
    assert outcome.main is not None
    assert "likelihood by its own 1 answers" in outcome.main.because[0]
    options = msgspec.structs.replace(options, opening=5)
    instrument = open_instrument("twins", affair.folder / "pairs.jsonl", options)
    outcome = instrument.judge(instrument.measure(affair.models["guilty"], None), KEY, "model A")
    assert outcome.main is not None
    assert "continuations after 5 words" in outcome.main.because[0]


def test_too_few_pairs_give_words_and_no_number(affair) -> None:
    drawn.write_pairs(affair.folder / "few.jsonl", affair.pairs[:5])
    instrument = open_instrument("twins", affair.folder / "few.jsonl", EPOCH)
    outcome = instrument.judge(instrument.measure(affair.models["guilty"], None), KEY, "model A")
    assert outcome.main is None
    assert "15 more are needed" in outcome.words


def test_pairs_of_another_epoch_are_not_mixed_in(affair, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="80 pairs are of another epoch than '2026-12'"):
        open_instrument("twins", affair.folder / "pairs.jsonl", Options(epoch="2026-12"))
