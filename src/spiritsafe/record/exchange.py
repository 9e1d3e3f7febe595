"""The exchange: one request and its answer. The only thing that detection, proof, lineage and cost read."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from spiritsafe.errors import InputError

VERSION = 1

Content = Literal["full", "sketch", "none"]
# A whole number that every JSON reader and every Parquet column can hold.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
CONTENT_FIELDS = ("completion", "messages", "reasoning", "sketch", "system")


def _version() -> int:
    """A default from a factory is never omitted, so every stored exchange carries its version."""
    return VERSION


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn. ``content`` is text, or the API's own list of parts kept as it came.

    ``extra`` keeps the turn's other fields (``name``, ``tool_calls``, ``tool_call_id``...).
    """

    role: str
    content: Any = None
    extra: dict[str, Any] = {}


class Exchange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request and its answer, version 1.

    Every field but ``exchange_id``, ``time`` and ``account_id`` may be missing (null): importers fill
    what their log has. ``time`` is when the request came in; it needs a time zone and is kept in UTC.
    ``account_id``, ``key_id``, ``ip_prefix``, ``network``, ``client``, ``payment`` and ``session`` are
    keyed hashes when the gateway wrote them (``record.identity``). ``content`` says how much text is
    kept; with ``sketch`` the text fields are null and ``sketch`` holds what the detectors need.
    ``extra`` keeps whatever an importer or a client sent that has no field here.
    """

    version: int = msgspec.field(default_factory=_version)
    exchange_id: str
    time: datetime
    account_id: str
    key_id: str | None = None
    model: str | None = None
    endpoint: str | None = None
    content: Content = "full"
    system: str | None = None
    messages: tuple[Message, ...] | None = None
    completion: str | None = None
    reasoning: str | None = None
    sketch: dict[str, Any] | None = None
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    latency_ms: float | None = None
    status: Count | None = None
    params: dict[str, Any] = {}
    ip_prefix: str | None = None
    network: str | None = None
    client: str | None = None
    payment: str | None = None
    session: str | None = None
    grant_id: str | None = None
    mark_id: str | None = None
    twin_of: str | None = None
    canary_id: str | None = None
    extra: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.time.tzinfo is not UTC:
            if self.time.tzinfo is None:
                raise InputError(
                    "an exchange's time has no time zone", remedy="Give it one, such as UTC", where=self.exchange_id
                )
            msgspec.structs.force_setattr(self, "time", self.time.astimezone(UTC))
        latency = self.latency_ms
        if latency is not None and not (type(latency) is float and math.isfinite(latency)):
            msgspec.structs.force_setattr(self, "latency_ms", float(latency) if math.isfinite(latency) else None)


def message_from(turn: dict[str, Any]) -> Message:
    """Read a turn in an API's own shape; fields other than ``role`` and ``content`` go to ``extra``."""
    role = turn.get("role")
    extra = {name: value for name, value in turn.items() if name not in ("role", "content")}
    return Message(role if isinstance(role, str) else "unknown", turn.get("content"), extra)


def message_text(message: Message) -> str:
    """Return a turn's text; of a list of parts, the text parts, one a line."""
    if isinstance(message.content, str):
        return message.content
    if not isinstance(message.content, list | tuple):
        return ""
    texts = [part.get("text") for part in message.content if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def prompt_text(exchange: Exchange) -> str | None:
    """Return what was asked: the text of the last user message, None where no message is kept."""
    if not exchange.messages:
        return None
    for message in reversed(exchange.messages):
        if message.role == "user":
            return message_text(message)
    return message_text(exchange.messages[-1])
