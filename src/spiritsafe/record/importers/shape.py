"""Reading other people's values: times, counts, chats and answers. Nothing is trusted to have its type."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import msgspec

from spiritsafe.record.exchange import Message, message_from, message_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# From this many units on, a number of seconds would lie after the year 5138: it counts smaller units.
_LARGE = 1e11
_NEVER, _DIGITS = 10**21, 22


def moment(value: Any, zone: tzinfo) -> datetime | None:
    """Read a time: ISO 8601, or a number of seconds, milli-, micro- or nanoseconds since 1970; None for none.

    A text without a zone is taken to be in ``zone``.
    """
    if isinstance(value, str):
        try:
            value = int(value) if value.isdecimal() and len(value) < _DIGITS else float(value)
        except ValueError:
            return _text_moment(value, zone)
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=zone)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _NEVER:
        return None
    scale = 1
    while abs(value) / scale >= _LARGE:
        scale *= 1000
    try:
        if isinstance(value, int):  # without the rounding of a float
            return _EPOCH + timedelta(microseconds=value * 1_000_000 // scale)
        return _EPOCH + timedelta(seconds=value / scale)
    except OverflowError:
        return None


def decoded(value: Any) -> Any:
    """Undo JSON in a text; anything else, and a text that isn't JSON, stays as it is."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value


def count(value: Any) -> int | None:
    """Read a number of tokens, also one written as a float or text; None for anything else."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= 2**53 else None


def text(value: Any) -> str | None:
    """Return a text that isn't empty, or None."""
    return value if isinstance(value, str) and value else None


def mapping(value: Any) -> dict[str, Any]:
    """Return an object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list, an empty list for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list | tuple) else []


def first(*values: Any) -> str | None:
    """Return the first text among ``values`` that isn't empty."""
    return next((value for value in values if isinstance(value, str) and value), None)


def chat(value: Any) -> tuple[str | None, tuple[Message, ...] | None]:
    """Read what was asked: the system prompt apart, and the turns. A bare text is one user's turn."""
    if isinstance(value, str):
        return None, (Message("user", value),)
    if isinstance(value, dict):
        value = value.get("messages")
    if not isinstance(value, list | tuple):
        return None, None
    turns = tuple(
        message_from(turn) if isinstance(turn, dict) else Message("user", turn) for turn in value if turn is not None
    )
    if turns and turns[0].role == "system" and isinstance(turns[0].content, str) and not turns[0].extra:
        return turns[0].content, turns[1:]
    return None, turns


def answer(turn: Any) -> tuple[str | None, str | None]:
    """Read an assistant's turn: its text, and its reasoning under either of the names in use."""
    if isinstance(turn, str):
        return turn, None
    turn = mapping(turn)
    content = turn.get("content")
    said = content if isinstance(content, str) else message_text(Message("assistant", content)) or None
    return said, first(turn.get("reasoning_content"), turn.get("reasoning"))


def without(value: dict[str, Any], *known: str) -> dict[str, Any]:
    """Return what is left of an object: fields that have no place elsewhere and say something."""
    return {name: inner for name, inner in value.items() if name not in known and inner not in (None, "", [], {})}


def _text_moment(value: str, zone: tzinfo) -> datetime | None:
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=zone)
