"""Reading what clients send without trusting its types; shared by the dialects."""

from __future__ import annotations

from typing import Any

import msgspec

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire.types import Payload
from spiritsafe.record.exchange import Message

_decode = msgspec.json.Decoder().decode

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are no JSON, or JSON nested beyond reason."""

WHO = frozenset({"user", "safety_identifier", "prompt_cache_key"})
"""Fields of OpenAI's APIs that name whom a client serves; they are recorded as pseudonyms or not at all."""


def json_object(body: bytes) -> Payload:
    """The request's body. Raises ``Fault`` for bytes that are not UTF-8, not JSON or not an object."""
    try:
        value = _decode(body)
    except UNREADABLE as error:
        raise _unreadable(body, error) from error
    if not isinstance(value, dict):
        raise Fault("invalid_json", "the body is no JSON object", remedy="Send an object with the request's fields.")
    return value


def _unreadable(body: bytes, error: Exception) -> Fault:
    remedy = "Send one JSON object in UTF-8."
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        return Fault("invalid_utf8", f"the body is not UTF-8: byte {wrong.start}", remedy=remedy)
    return Fault("invalid_json", f"the body is not JSON: {error}", remedy=remedy)


def need(body: Payload, name: str, kind: type, words: str) -> Any:
    """The field ``name``, which must be there and be a ``kind``."""
    value = body.get(name)
    if not isinstance(value, kind):
        state = "is missing" if name not in body else f"is not {words}"
        raise Fault("invalid_request", f"'{name}' {state}", remedy=f"Send {words} as '{name}'.")
    return value


def model_of(body: Payload) -> str | None:
    """The model's name, ``None`` if it was left out."""
    value = body.get("model")
    if value is None or isinstance(value, str):
        return value
    raise Fault("invalid_request", "'model' is not a string", remedy="Send the model's name.")


def count_of(body: Payload, name: str = "n") -> int:
    """How many answers are asked for; nonsense is left to the upstream's judgement."""
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 1024 else 1


def text(value: Any) -> str | None:
    """``value`` if it is a string."""
    return value if isinstance(value, str) else None


def mapping(value: Any) -> Payload:
    """``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """``value`` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def objects(value: Any) -> list[Payload]:
    """The items of a list as objects; what is none counts as an empty one."""
    return [mapping(item) for item in items(value)]


def words(content: Any) -> str:
    """The text in a message's content: a string, or the ``text`` of its parts, one a line."""
    if isinstance(content, str):
        return content
    parts = (part if isinstance(part, str) else mapping(part).get("text") for part in items(content))
    return "\n".join(part for part in parts if isinstance(part, str))


def message(raw: Any) -> Message:
    """One turn as the record keeps it: role and content as they came, other fields in ``extra``."""
    if not isinstance(raw, dict) or not isinstance(raw.get("role"), str):
        raise Fault("invalid_request", "a message has no role", remedy="Give each message a 'role' and its 'content'.")
    if len(raw) == 2 and "content" in raw:
        return Message(raw["role"], raw["content"])
    return Message(raw["role"], raw.get("content"), {k: v for k, v in raw.items() if k != "role" and k != "content"})


def sort(body: Payload, params: frozenset[str], known: frozenset[str]) -> tuple[Payload, Payload]:
    """The fields of ``body`` that are ``params``, and those that are neither these nor ``known``."""
    found: Payload = {}
    others: Payload = {}
    for name, value in body.items():
        if name in params:
            found[name] = value
        elif name not in known:
            others[name] = value
    return found, others


def count(value: Any) -> int | None:
    """``value`` if it can be a number of tokens."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
