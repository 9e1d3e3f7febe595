"""Anthropic's messages."""

from __future__ import annotations

from typing import Any

import msgspec

from spiritsafe.gateway.wire import read
from spiritsafe.gateway.wire.types import Answer, Ask, Choice, Family, Payload

_KNOWN = frozenset({"model", "messages", "system", "stream", "metadata"})
_PARAMS = frozenset(
    [
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "stop_sequences",
        "tools",
        "tool_choice",
        "thinking",
        "service_tier",
        "output_config",
    ]
)
_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")
_decode = msgspec.json.Decoder().decode


class Messages:
    """See ``wire.types.Dialect``. An answer is one choice whose blocks are text, thinking and tool calls."""

    name = "messages"
    path = "/v1/messages"
    family: Family = "anthropic"

    def ask(self, body: Payload) -> Ask:
        turns = read.need(body, "messages", list, "a list of messages")
        metadata = read.mapping(body.get("metadata"))
        params, extra = read.sort(body, _PARAMS, _KNOWN)
        return Ask(
            model=read.model_of(body),
            stream=body.get("stream") is True,
            messages=tuple([read.message(turn) for turn in turns]),
            system=read.words(body.get("system")) or None,
            params=params,
            extra=extra,
            metadata=metadata,
            user=read.text(metadata.get("user_id")),
        )

    def read(self, data: bytes, ask: Ask, answer: Answer) -> None:
        payload = read.mapping(_decode(data))
        answer.id, answer.model = read.text(payload.get("id")), read.text(payload.get("model"))
        choice = answer.choice(0)
        for block in read.objects(payload.get("content")):
            _open(choice, block)
        _stop(payload, choice, answer)
        _usage(payload.get("usage"), answer)

    def hear(self, data: bytes, ask: Ask, answer: Answer) -> bool:
        if not data:
            return False
        event = _decode(data)
        kind = event.get("type") if isinstance(event, dict) else None
        choice = answer.choice(0)
        if kind == "content_block_delta":
            _add(choice, read.mapping(event.get("delta")))
        elif kind == "content_block_start":
            _open(choice, read.mapping(event.get("content_block")))
        elif kind == "message_start":
            message = read.mapping(event.get("message"))
            answer.id, answer.model = read.text(message.get("id")), read.text(message.get("model"))
            _usage(message.get("usage"), answer)
        elif kind == "message_delta":
            _stop(read.mapping(event.get("delta")), choice, answer)
            _usage(event.get("usage"), answer)
            return True
        elif kind == "error":
            answer.error = read.mapping(event.get("error"))
        elif kind not in ("content_block_stop", "message_stop", "ping"):
            answer.unread += 1
        answer.over = kind == "message_stop"
        return answer.over

    def withhold(self, payload: Payload) -> bool:
        blocks = payload.get("content")
        if isinstance(blocks, list):
            payload["content"] = [block for block in blocks if not _thinks(block)]
        started = read.mapping(payload.get("content_block"))
        if _thinks(started):  # emptied, not dropped: clients count the blocks of a stream
            started.update({name: "" for name in ("thinking", "signature", "data") if name in started})
        delta = read.mapping(payload.get("delta"))
        return delta.get("type") not in ("thinking_delta", "signature_delta")


def _thinks(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") in ("thinking", "redacted_thinking")


def _open(choice: Choice, block: Payload) -> None:
    """Take a block as it is whole, or as it begins in a stream."""
    kind = block.get("type")
    if kind == "text":
        choice.text.append(read.text(block.get("text")) or "")
    elif kind == "thinking":
        choice.reasoning.append(read.text(block.get("thinking")) or "")
    elif kind in _CALLS:
        call = choice.call(len(choice.calls))
        call.id, call.name = read.text(block.get("id")) or "", read.text(block.get("name")) or ""
        given = block.get("input")
        call.arguments = msgspec.json.encode(given).decode() if given else ""


def _add(choice: Choice, delta: Payload) -> None:
    kind = delta.get("type")
    if kind == "text_delta":
        choice.text.append(read.text(delta.get("text")) or "")
    elif kind == "thinking_delta":
        choice.reasoning.append(read.text(delta.get("thinking")) or "")
    elif kind == "input_json_delta" and choice.calls:
        choice.calls[-1].arguments += read.text(delta.get("partial_json")) or ""


def _stop(source: Payload, choice: Choice, answer: Answer) -> None:
    if reason := read.text(source.get("stop_reason")):
        answer.finish(choice, reason)
    if sequence := read.text(source.get("stop_sequence")):
        answer.output["stop_sequence"] = sequence


def _usage(raw: Any, answer: Answer) -> None:
    """Take the token counts; what came from a cache was prompt as well. Later events correct earlier ones."""
    usage = read.mapping(raw)
    if (prompt := read.count(usage.get("input_tokens"))) is not None:
        cached = ("cache_creation_input_tokens", "cache_read_input_tokens")
        answer.prompt_tokens = prompt + sum(read.count(usage.get(name)) or 0 for name in cached)
    if (completion := read.count(usage.get("output_tokens"))) is not None:
        answer.completion_tokens = completion
