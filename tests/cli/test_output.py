"""What is printed: JSON that machines read, tables that people read and can't be harmed by."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.cli.output import emit_json, emit_table, plain


class Value(msgspec.Struct):
    text: str
    time: datetime


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json({"value": Value("[bold]", datetime(2026, 3, 2, tzinfo=UTC)), "n": None})
    assert json.loads(capsys.readouterr().out) == {
        "value": {"text": "[bold]", "time": "2026-03-02T00:00:00Z"},
        "n": None,
    }


def test_a_table_shows_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    time = datetime(2026, 3, 2, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    emit_table(("a", "b"), [("[/red]", None), (True, time), (0, False)], title="[title]")
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["[title]"],
        ["a", "b"],
        ["[/red]", "-"],
        ["yes", "2026-03-01", "23:30Z"],
        ["0", "no"],
    ]


def test_words_are_never_cut_or_wrapped_and_prose_is_fitted(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    words = ["x" * 30, "y" * 50]
    prose = "one two three four five six seven eight nine ten eleven twelve"
    emit_table(("first", "second", "third"), [(*words, prose)])
    lines = capsys.readouterr().out.splitlines()
    assert all(any(word in line for line in lines) for word in words)
    assert len(lines) > 2
    assert " ".join(line[82:].strip() for line in lines[1:]) == prose


def test_nothing_typed_by_a_stranger_moves_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    emit_table(("a",), [("\x1b[31mred\x1b[0m \x07 \r \u202e",)], title="\x1b]0;x\x07")
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x07\r\u202e")
    assert "\ufffd[31mred" in out


@given(st.text())
def test_plain_text_keeps_its_length_and_its_lines(text: str) -> None:
    made = plain(text)
    assert len(made) == len(text)
    assert made.count("\n") == text.count("\n")
    assert "\x1b" not in made
