"""Times, counts, chats and answers in all the shapes that logs give them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.record.exchange import Message
from spiritsafe.record.importers import shape

TEN = datetime(2026, 3, 2, 10, tzinfo=UTC)
EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-02T10:00:00Z",
        "2026-03-02T12:00:00+02:00",
        "2026-03-02 12:00:00",
        " 2026-03-02T12:00:00 ",
        1772445600,
        1772445600.0,
        1772445600000,
        1772445600000000,
        1772445600000000000,
        "1772445600000000000",
        "1772445600",
        TEN,
        TEN.astimezone(EAST).replace(tzinfo=None),
    ],
)
def test_times_of_every_kind(value: Any) -> None:
    assert shape.moment(value, EAST) == TEN


@pytest.mark.parametrize("value", [None, "", "soon", True, [], math.nan, math.inf, 10**400, "9" * 400])
def test_what_is_no_time(value: Any) -> None:
    assert shape.moment(value, UTC) is None


@given(st.integers(0, 4_000_000_000_000_000))
def test_microseconds_are_exact(micros: int) -> None:
    found = shape.moment(micros * 1000, UTC) if micros >= 10**14 else None
    if found is not None:
        assert (found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == micros


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (7, 7),
        (7.0, 7),
        ("7", 7),
        (0, 0),
        (-1, None),
        (7.5, None),
        (True, None),
        ("x", None),
        (None, None),
        (2**60, None),
    ],
)
def test_counts(value: Any, wanted: int | None) -> None:
    assert shape.count(value) == wanted


def test_chats() -> None:
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u", "name": "n"}, "bare", None]
    asked = (Message("user", "u", {"name": "n"}), Message("user", "bare"))
    assert shape.chat(turns) == ("s", asked)
    assert shape.chat({"messages": turns}) == ("s", asked)
    assert shape.chat("text") == (None, (Message("user", "text"),))
    assert shape.chat(None) == (None, None)
    assert shape.chat([{"role": "system", "content": ["s"]}]) == (None, (Message("system", ["s"]),))


def test_answers() -> None:
    assert shape.answer("text") == ("text", None)
    assert shape.answer({"content": "c", "reasoning": "r"}) == ("c", "r")
    assert shape.answer({"content": [{"type": "text", "text": "c"}], "reasoning_content": "r"}) == ("c", "r")
    assert shape.answer({"content": None}) == (None, None)
    assert shape.answer(3) == (None, None)


def test_small_helpers() -> None:
    assert shape.first(None, "", 3, "a", "b") == "a"
    assert shape.first(None) is None
    assert shape.text("") is None
    assert shape.mapping([1]) == {}
    assert shape.objects([{"a": 1}, 2]) == [{"a": 1}]
    assert shape.objects("x") == []
    assert shape.without({"a": 1, "b": 2, "c": None, "d": [], "e": 0}, "a") == {"b": 2, "e": 0}
