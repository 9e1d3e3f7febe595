"""An exchange always says its version, keeps its time in UTC, and knows what was asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from spiritsafe.errors import InputError
from spiritsafe.record.exchange import VERSION, Exchange, Message, message_from, message_text, prompt_text

Make = Callable[..., Exchange]


def test_the_version_is_always_written() -> None:
    bare = Exchange(exchange_id="x", time=datetime(2026, 1, 1, tzinfo=UTC), account_id="a")
    assert msgspec.json.decode(msgspec.json.encode(bare)) == {
        "version": VERSION,
        "exchange_id": "x",
        "time": "2026-01-01T00:00:00Z",
        "account_id": "a",
    }


def test_times_of_any_zone_are_kept_in_utc(make: Make) -> None:
    there = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    exchange = make(time=there)
    assert exchange.time == there
    assert exchange.time.tzinfo is UTC


def test_a_time_without_a_zone_is_refused(make: Make) -> None:
    with pytest.raises(InputError, match="no time zone"):
        make(time=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(("given", "kept"), [(5, 5.0), (math.nan, None), (math.inf, None), (0.25, 0.25)])
def test_latency_is_a_finite_float_or_nothing(make: Make, given: float, kept: float | None) -> None:
    latency = make(latency_ms=given).latency_ms
    assert latency == kept
    assert latency is None or type(latency) is float


def test_a_turn_keeps_its_unknown_fields() -> None:
    turn = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}], "name": "n"}
    assert message_from(turn) == Message("assistant", None, {"tool_calls": [{"id": "c1"}], "name": "n"})
    assert message_from({"content": "x"}).role == "unknown"


def test_the_text_of_a_turn_is_that_of_its_text_parts() -> None:
    parts = [
        {"type": "text", "text": "one"},
        {"type": "image_url", "image_url": {}},
        {"type": "text", "text": "two"},
        3,
    ]
    assert message_text(Message("user", parts)) == "one\ntwo"
    assert message_text(Message("user", "plain")) == "plain"
    assert message_text(Message("user", None)) == ""
    assert message_text(Message("user", 7)) == ""


def test_what_was_asked_is_the_last_user_turn(make: Make) -> None:
    turns = (Message("user", "first"), Message("assistant", "yes"), Message("user", "second"), Message("tool", "t"))
    assert prompt_text(make(messages=turns)) == "second"
    assert prompt_text(make(messages=(Message("system", "s"),))) == "s"
    assert prompt_text(make(messages=None)) is None
    assert prompt_text(make(messages=())) is None
