"""The exchange: one request and its answer. The only thing that detection, proof, lineage and cost read."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

VERSION = 1

Content = Literal["full", "sketch", "none"]


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn. ``content`` is text, or the API's own list of parts kept as it came."""

    role: str
    content: Any = None
    extra: dict[str, Any] = {}


class Exchange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request and its answer, version 1.

    Every field but ``exchange_id``, ``time`` and ``account_id`` may be missing (null): importers fill
    what their log has. ``time`` is when the request came in, UTC. ``account_id``, ``key_id``,
    ``ip_prefix``, ``network``, ``client``, ``payment`` and ``session`` are keyed hashes when the
    gateway wrote them (``record.identity``). ``content`` says how much text is kept; with ``sketch``
    the text fields are null and ``sketch`` holds what the detectors need. ``extra`` keeps whatever
    an importer or a client sent that has no field here.
    """

    version: int = VERSION
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
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    latency_ms: float | None = None
    status: int | None = None
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
