"""LiteLLM's ``StandardLoggingPayload``, one JSON object a line, as its file and bucket loggers write it.

Source: the proxy's logging specification. Redacted or left-out fields are simply missing here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spiritsafe.errors import Problem
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.importers.lines import json_documents
from spiritsafe.record.importers.shape import (
    answer,
    chat,
    count,
    decoded,
    first,
    mapping,
    moment,
    objects,
    text,
    without,
)
from spiritsafe.record.importers.types import Importer, Item

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from spiritsafe.record.importers.types import Found, Options

_ENDPOINTS = {
    "completion": "/v1/chat/completions",
    "text_completion": "/v1/completions",
    "embedding": "/v1/embeddings",
    "responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
}
_KNOWN = (
    *("id", "call_type", "status", "prompt_tokens", "completion_tokens", "total_tokens", "startTime", "endTime"),
    *("model", "model_group", "metadata", "requester_ip_address", "user_agent", "session_id", "end_user"),
    *("messages", "response", "model_parameters"),
)
_IDENTIFYING = ("requester_ip_address", "user_agent", "session_id", "requester_custom_headers", "usage_object")


def read(paths: Sequence[Path], options: Options) -> Iterator[Found]:
    """Read payloads; one may also stand under ``standard_logging_object``."""
    for path in paths:
        for found in json_documents(path):
            yield found if isinstance(found, Problem) else _exchange(found[1], found[0], options)


def _exchange(payload: dict[str, Any], where: str, options: Options) -> Found:
    payload = mapping(payload.get("standard_logging_object")) or payload
    begun, ended = moment(payload.get("startTime"), options.zone), moment(payload.get("endTime"), options.zone)
    if begun is None or "call_type" not in payload:
        return Problem(where, "this is no LiteLLM payload: it lacks startTime or call_type", "Check --from")
    metadata = mapping(payload.get("metadata"))
    response = _unwrapped(payload.get("response"))
    system, messages = chat(_unwrapped(payload.get("messages")))
    completion, reasoning = _answer(response)
    usage = mapping(mapping(response).get("usage")) or mapping(metadata.get("usage_object"))
    call = str(payload["call_type"])
    failed = payload.get("status") == "failure"
    error = mapping(payload.get("error_information"))
    people = [name for name in metadata if name.startswith("user_api_key_")]
    exchange = Exchange(
        exchange_id=text(payload.get("id")) or "",
        time=begun,
        account_id=first(
            metadata.get("user_api_key_user_id"),
            metadata.get("user_api_key_team_id"),
            metadata.get("user_api_key_hash"),
            payload.get("end_user"),
        )
        or options.account,
        key_id=text(metadata.get("user_api_key_hash")),
        model=first(payload.get("model_group"), payload.get("model")),
        endpoint=_ENDPOINTS.get(call.removeprefix("a") if call != "anthropic_messages" else call),
        system=system,
        messages=messages,
        completion=completion,
        reasoning=reasoning,
        prompt_tokens=count(payload.get("prompt_tokens")),
        completion_tokens=count(payload.get("completion_tokens")),
        reasoning_tokens=count(mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        latency_ms=(ended - begun).total_seconds() * 1000 if ended is not None else None,
        status=count(error.get("error_code")) or (500 if failed else 200),
        params=mapping(payload.get("model_parameters")),
        ip_prefix=first(payload.get("requester_ip_address"), metadata.get("requester_ip_address")),
        client=first(payload.get("user_agent"), metadata.get("user_agent")),
        session=first(payload.get("session_id"), metadata.get("session_id")),
        extra={
            "call_type": call,
            **without(payload, *_KNOWN),
            "metadata": without(metadata, *people, *_IDENTIFYING),
        },
    )
    return Item(where, exchange)


def _answer(response: Any) -> tuple[str | None, str | None]:
    if isinstance(response, str):
        return response or None, None
    choices = objects(mapping(response).get("choices"))
    if not choices:
        return None, None
    said, reasoning = answer(choices[0].get("message"))
    return said if said is not None else text(choices[0].get("text")), reasoning


def _unwrapped(value: Any) -> Any:
    """Undo JSON inside a text, which some of its loggers make of messages and response."""
    return decoded(value) if isinstance(value, str) and value[:1] in ("{", "[") else value


IMPORTER = Importer("litellm", "LiteLLM's StandardLoggingPayload, one a line", read)
