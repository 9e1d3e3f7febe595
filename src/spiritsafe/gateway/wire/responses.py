"""OpenAI's responses."""

from __future__ import annotations

from typing import Any

import msgspec

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire import read
from spiritsafe.gateway.wire.types import Answer, Ask, Choice, Family, Payload
from spiritsafe.record.exchange import Message

_KNOWN = frozenset(
    {"user", "safety_identifier", "prompt_cache_key", "model", "input", "instructions", "stream", "store", "metadata"}
)
_PARAMS = frozenset(
    [
        "temperature",
        "top_p",
        "top_logprobs",
        "max_output_tokens",
        "max_tool_calls",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "text",
        "reasoning",
        "truncation",
        "include",
        "service_tier",
        "previous_response_id",
        "conversation",
        "background",
        "stream_options",
    ]
)
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_decode = msgspec.json.Decoder().decode


class Responses:
    """See ``wire.types.Dialect``. An answer is one choice, put together from the items of its output.

    Streams are heard from their last event, which holds the whole; the deltas count when that never comes.
    """

    name = "responses"
    path = "/v1/responses"
    family: Family = "openai"

    def ask(self, body: Payload) -> Ask:
        metadata = read.mapping(body.get("metadata"))
        params, extra = read.sort(body, _PARAMS, _KNOWN)
        return Ask(
            model=read.model_of(body),
            stream=body.get("stream") is True,
            messages=_turns(body),
            system=read.text(body.get("instructions")),
            params=params,
            extra=extra,
            metadata=metadata,
            user=read.text(body.get("user")) or read.text(body.get("safety_identifier")),
        )

    def read(self, data: bytes, ask: Ask, answer: Answer) -> None:
        self._read(read.mapping(_decode(data)), answer)

    def _read(self, payload: Payload, answer: Answer) -> None:
        answer.id, answer.model = read.text(payload.get("id")), read.text(payload.get("model"))
        answer.choices.clear()  # what the deltas told is here again, whole
        choice = answer.choice(0)
        for item in read.objects(payload.get("output")):
            _take(choice, item)
        if status := read.text(payload.get("status")):
            answer.finish(choice, status)
        usage = read.mapping(payload.get("usage"))
        answer.prompt_tokens = read.count(usage.get("input_tokens"))
        answer.completion_tokens = read.count(usage.get("output_tokens"))
        answer.reasoning_tokens = read.count(read.mapping(usage.get("output_tokens_details")).get("reasoning_tokens"))

    def hear(self, data: bytes, ask: Ask, answer: Answer) -> bool:
        if not data or data == b"[DONE]":
            return bool(data)
        event = _decode(data)
        kind = event.get("type") if isinstance(event, dict) else None
        if not isinstance(kind, str):
            answer.unread += 1
        elif kind in _ENDS:
            self._read(read.mapping(event.get("response")), answer)
            answer.over = True
            return True
        elif kind in ("response.output_text.delta", "response.refusal.delta"):
            answer.choice(0).text.append(read.text(event.get("delta")) or "")
        elif kind.startswith("response.reasoning") and kind.endswith("text.delta"):
            answer.choice(0).reasoning.append(read.text(event.get("delta")) or "")
        elif kind == "response.output_item.done":
            item = read.mapping(event.get("item"))
            if item.get("type") != "message" and item.get("type") != "reasoning":
                _take(answer.choice(0), item)
        elif kind == "response.created":
            response = read.mapping(event.get("response"))
            answer.id, answer.model = read.text(response.get("id")), read.text(response.get("model"))
        elif kind == "error":
            answer.error = read.mapping(event.get("error")) or event
        return False

    def withhold(self, payload: Payload) -> bool:
        kind = payload.get("type")
        if isinstance(kind, str) and kind.startswith("response.reasoning"):
            payload.update({name: "" for name in ("delta", "text") if name in payload})
            if isinstance(payload.get("part"), dict):
                payload["part"]["text"] = ""
        if "logprobs" in payload:
            payload["logprobs"] = []
        _strip_part(read.mapping(payload.get("part")))
        _strip_item(read.mapping(payload.get("item")))
        whole = read.mapping(payload.get("response")) or payload
        for item in read.objects(whole.get("output")):
            _strip_item(item)
        return True


def _turns(body: Payload) -> tuple[Message, ...]:
    given = body.get("input")
    if given is None and any(body.get(name) for name in ("previous_response_id", "conversation", "prompt")):
        return ()
    if isinstance(given, str):
        return (Message("user", given),)
    if not isinstance(given, list):
        raise Fault("invalid_request", "'input' is missing or no text", remedy="Send a text, or a list of items.")
    return tuple([_turn(item) for item in given])


def _turn(item: Any) -> Message:
    """A message as it came; another item (a call, its output, reasoning) under its type's name."""
    if isinstance(item, dict) and isinstance(item.get("role"), str):
        plain = {name: value for name, value in item.items() if name != "type" or value != "message"}
        return read.message(plain)
    if isinstance(item, dict) and isinstance(item.get("type"), str):
        role = "tool" if item["type"].endswith("_output") else "assistant"
        return Message(role, item.get("output"), {k: v for k, v in item.items() if k != "output"})
    raise Fault("invalid_request", "an input item has neither role nor type", remedy="Give each item one of them.")


def _take(choice: Choice, item: Payload) -> None:
    kind = item.get("type")
    if kind == "message":
        for part in read.objects(item.get("content")):
            choice.text.append(read.text(part.get("text")) or read.text(part.get("refusal")) or "")
    elif kind == "reasoning":
        for part in read.objects(item.get("summary")) + read.objects(item.get("content")):
            choice.reasoning.append(read.text(part.get("text")) or "")
    elif kind in ("function_call", "custom_tool_call"):
        call = choice.call(len(choice.calls))
        call.id, call.name = read.text(item.get("call_id")) or "", read.text(item.get("name")) or ""
        call.arguments = read.text(item.get("arguments")) or read.text(item.get("input")) or ""
        call.kind = "function" if kind == "function_call" else "custom"


def _strip_part(part: Payload) -> None:
    if "logprobs" in part:
        part["logprobs"] = []


def _strip_item(item: Payload) -> None:
    if item.get("type") == "reasoning":
        item["summary"] = []
        item.pop("content", None)
        item.pop("encrypted_content", None)
    for part in read.objects(item.get("content")):
        _strip_part(part)
