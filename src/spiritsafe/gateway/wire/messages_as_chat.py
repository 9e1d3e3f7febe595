"""Anthropic's messages over an upstream that speaks chat completions."""

from __future__ import annotations

from typing import Any

import msgspec

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire import read, sse
from spiritsafe.gateway.wire.types import Payload

_RENAMED = {"max_tokens": "max_tokens", "stop_sequences": "stop", "temperature": "temperature", "top_p": "top_p"}
_HANDLED = frozenset({"messages", "system", "stream", "tools", "tool_choice", "metadata", "thinking", *_RENAMED})
_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "function_call": "tool_use"}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_encode = msgspec.json.encode
_decode = msgspec.json.Decoder().decode


class MessagesAsChat:
    """See ``wire.types.Translation``. Thinking that a client sends back is left out: chat has no place for it."""

    def __init__(self, body: Payload, request_id: str) -> None:
        self._body = body
        self._id = f"msg_{request_id}"

    def request(self) -> Payload:
        body = self._body
        chat: Payload = {name: value for name, value in body.items() if name not in _HANDLED}
        chat.update({new: body[old] for old, new in _RENAMED.items() if old in body})
        chat["messages"] = _system(body.get("system")) + [
            turn for message in read.objects(body.get("messages")) for turn in _turns(message)
        ]
        if tools := read.objects(body.get("tools")):
            chat["tools"] = [_tool(tool) for tool in tools]
        if choice := read.mapping(body.get("tool_choice")):
            chat["tool_choice"] = _tool_choice(choice)
            if choice.get("disable_parallel_tool_use") is True:
                chat["parallel_tool_calls"] = False
        if user := read.mapping(body.get("metadata")).get("user_id"):
            chat["user"] = user
        if body.get("stream") is True:
            chat["stream"] = True
            chat["stream_options"] = {"include_usage": True}
        return chat

    def whole(self, payload: Payload) -> Payload:
        choice = (read.objects(payload.get("choices")) or [{}])[0]
        message = read.mapping(choice.get("message"))
        blocks: list[Payload] = []
        if thought := read.text(message.get("reasoning_content")) or read.text(message.get("reasoning")):
            blocks.append({"type": "thinking", "thinking": thought, "signature": ""})
        if said := read.words(message.get("content")) or read.text(message.get("refusal")):
            blocks.append({"type": "text", "text": said})
        for call in read.objects(message.get("tool_calls")):
            function = read.mapping(call.get("function"))
            given = _arguments(read.text(function.get("arguments")) or "")
            blocks.append({"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": given})
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": payload.get("model") or self._body.get("model"),
            "content": blocks,
            "stop_reason": _STOPS.get(choice.get("finish_reason") or "stop", "end_turn"),
            "stop_sequence": None,
            "usage": _usage(payload.get("usage")),
        }

    def stream(self) -> _Stream:
        return _Stream(self._id, read.text(self._body.get("model")) or "")


class _Stream:
    """One block is open at a time; a change of kind, or of tool call, closes it and opens the next."""

    def __init__(self, message_id: str, model: str) -> None:
        self._id = message_id
        self._model = model
        self._begun = False
        self._open: tuple[str, int] | None = None
        self._index = -1
        self._stop = "end_turn"
        self._usage = _usage(None)

    def event(self, data: bytes) -> bytes:
        if not data or data == b"[DONE]":
            return b""
        chunk = read.mapping(_decode(data))
        out: list[bytes] = []
        if not self._begun:
            out.append(self._begin(chunk))
        if chunk.get("usage"):
            self._usage = _usage(chunk["usage"])
        for choice in read.objects(chunk.get("choices"))[:1]:
            delta = read.mapping(choice.get("delta"))
            if thought := read.text(delta.get("reasoning_content")) or read.text(delta.get("reasoning")):
                out += self._block("thinking", 0, {"type": "thinking", "thinking": "", "signature": ""})
                out.append(self._delta({"type": "thinking_delta", "thinking": thought}))
            if said := read.text(delta.get("content")) or read.text(delta.get("refusal")):
                out += self._block("text", 0, {"type": "text", "text": ""})
                out.append(self._delta({"type": "text_delta", "text": said}))
            for call in read.objects(delta.get("tool_calls")):
                out += self._call(call)
            if finish := choice.get("finish_reason"):
                self._stop = _STOPS.get(finish, "end_turn")
        return b"".join(out)

    def close(self) -> bytes:
        out = [] if self._begun else [self._begin({})]
        out += self._end_block()
        delta = {"stop_reason": self._stop, "stop_sequence": None}
        out.append(_event({"type": "message_delta", "delta": delta, "usage": self._usage}))
        out.append(_event({"type": "message_stop"}))
        return b"".join(out)

    def _begin(self, chunk: Payload) -> bytes:
        self._begun = True
        message: Payload = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": chunk.get("model") or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(None),
        }
        return _event({"type": "message_start", "message": message})

    def _block(self, kind: str, number: int, start: Payload) -> list[bytes]:
        if self._open == (kind, number):
            return []
        out = self._end_block()
        self._index += 1
        self._open = (kind, number)
        out.append(_event({"type": "content_block_start", "index": self._index, "content_block": start}))
        return out

    def _end_block(self) -> list[bytes]:
        if self._open is None:
            return []
        self._open = None
        return [_event({"type": "content_block_stop", "index": self._index})]

    def _delta(self, delta: Payload) -> bytes:
        return _event({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _call(self, call: Payload) -> list[bytes]:
        function = read.mapping(call.get("function"))
        start: Payload = {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": {}}
        out = self._block("tool_use", call.get("index", 0), start)
        if arguments := read.text(function.get("arguments")):
            out.append(self._delta({"type": "input_json_delta", "partial_json": arguments}))
        return out


def _event(payload: Payload) -> bytes:
    return sse.event(_encode(payload), payload["type"])


def _usage(raw: Any) -> Payload:
    usage = read.mapping(raw)
    return {
        "input_tokens": read.count(usage.get("prompt_tokens")) or 0,
        "output_tokens": read.count(usage.get("completion_tokens")) or 0,
    }


def _arguments(text: str) -> Any:
    """A call's arguments as an object; a model that wrote no JSON is quoted."""
    try:
        given = _decode(text or "{}")
    except msgspec.DecodeError:
        return {"arguments": text}
    return given if isinstance(given, dict) else {"arguments": given}


def _system(system: Any) -> list[Payload]:
    text = read.words(system)
    return [{"role": "system", "content": text}] if text else []


def _turns(message: Payload) -> list[Payload]:
    """One message as chat's: results of tools become turns of their own, and stand first."""
    role, content = message.get("role"), message.get("content")
    if not isinstance(content, list):
        return [{"role": role, "content": content}]
    parts: list[Payload] = []
    calls: list[Payload] = []
    results: list[Payload] = []
    for block in read.objects(content):
        kind = block.get("type")
        if kind == "text":
            parts.append({"type": "text", "text": block.get("text")})
        elif kind == "image":
            parts.append({"type": "image_url", "image_url": {"url": _image(read.mapping(block.get("source")))}})
        elif kind == "tool_use":
            arguments = _encode(block.get("input") or {}).decode()
            function = {"name": block.get("name"), "arguments": arguments}
            calls.append({"id": block.get("id"), "type": "function", "function": function})
        elif kind == "tool_result":
            said = read.words(block.get("content"))
            results.append({"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": said})
        elif kind not in ("thinking", "redacted_thinking"):
            raise _unsupported(f"a content block of type {kind!r}")
    if not parts and not calls:
        return results
    turn: Payload = {"role": role, "content": _content(parts)}
    if calls:
        turn["tool_calls"] = calls
    return [*results, turn]


def _content(parts: list[Payload]) -> Any:
    """Plain text where there is nothing else, as every chat server takes it."""
    if not parts:
        return None
    if all(part["type"] == "text" for part in parts):
        return "\n".join(str(part["text"]) for part in parts)
    return parts


def _image(source: Payload) -> str:
    if source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    if source.get("type") == "url" and isinstance(source.get("url"), str):
        return str(source["url"])
    raise _unsupported(f"an image from {source.get('type')!r}")


def _tool(tool: Payload) -> Payload:
    if tool.get("type", "custom") != "custom":
        raise _unsupported(f"a tool of type {tool.get('type')!r}")
    function = {"name": tool.get("name"), "parameters": tool.get("input_schema") or {"type": "object"}}
    if "description" in tool:
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def _tool_choice(choice: Payload) -> Any:
    kind = choice.get("type")
    if kind == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    if kind in _CHOICES:
        return _CHOICES[kind]
    raise _unsupported(f"a tool_choice of type {kind!r}")


def _unsupported(what: str) -> Fault:
    return Fault(
        "unsupported",
        f"the model server behind this gateway can't take {what}",
        remedy="Leave it out, or use a model whose server speaks this API itself.",
    )
