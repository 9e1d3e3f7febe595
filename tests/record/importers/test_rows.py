"""Rows of a table become exchanges, whatever their columns hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import Problem
from spiritsafe.record.canonical import seal
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.importers.rows import from_row
from spiritsafe.record.importers.types import Item, Options

ROW = {"account_id": "a", "time": "2026-03-02T10:00:00Z"}


def made(**fields: Any) -> Exchange:
    found = from_row({**ROW, **fields}, "log:1", Options())
    assert isinstance(found, Item)
    return found.exchange


def test_a_bare_row() -> None:
    assert made() == Exchange(exchange_id="", time=datetime(2026, 3, 2, 10, tzinfo=UTC), account_id="a")


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        ('[{"role":"user","content":"hi"}]', (Message("user", "hi"),)),
        ([{"role": "user", "content": "hi", "extra": {"name": "n"}}], (Message("user", "hi", {"name": "n"}),)),
        ("just text", (Message("user", "just text"),)),
        (None, None),
    ],
)
def test_messages_in_any_shape(messages: Any, wanted: Any) -> None:
    assert made(messages=messages).messages == wanted


def test_messages_go_before_a_prompt_and_a_column_before_a_turn() -> None:
    turns = [{"role": "system", "content": "turn"}, {"role": "user", "content": "hi"}]
    both = made(messages=turns, prompt="other", system="column")
    assert (both.system, both.messages) == ("column", (Message("user", "hi"),))
    assert made(prompt="hi").messages == (Message("user", "hi"),)


def test_settings_stand_alone_or_together() -> None:
    row = made(params='{"seed": 3, "top_p": 1}', temperature=0.5, top_p=0.9, logprobs=None, extra='{"k": 1}', other=2)
    assert row.params == {"seed": 3, "top_p": 0.9, "temperature": 0.5}
    assert row.extra == {"other": 2, "k": 1}


@given(
    st.dictionaries(st.sampled_from(Exchange.__struct_fields__), st.none() | st.integers() | st.text() | st.floats())
)
def test_a_row_becomes_an_exchange_or_a_problem(row: dict[str, Any]) -> None:
    found = from_row(row, "log:1", Options())
    if isinstance(found, Problem):
        assert found.where == "log:1"
    else:
        seal(found.exchange)
