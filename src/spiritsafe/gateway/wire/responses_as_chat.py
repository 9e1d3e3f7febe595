"""OpenAI's responses over an upstream that speaks chat completions."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire import read, sse
from spiritsafe.gateway.wire.types import Payload

_SAME = ("temperature", "top_p", "parallel_tool_calls", "user", "service_tier", "top_logprobs")
_HANDLED = frozenset(
    [
        "input",
        "instructions",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "text",
        "reasoning",
        "max_output_tokens",
        "max_tool_calls",
        "truncation",
        "include",
        "store",
        "metadata",
        "background",
        "previous_response_id",
        "conversation",
        "prompt",
    ]
)
_STATEFUL = ("previous_response_id", "conversation", "prompt", "background")
_ECHOED = ("instructions", "temperature", "top_p", "max_output_tokens", "previous_response_id", "reasoning", "user")
_encode = msgspec.json.encode
_decode = msgspec.json.Decoder().decode


class ResponsesAsChat:
    """See ``wire.types.Translation``. Tools must be functions, and each request must carry its whole history."""

    def __init__(self, body: Payload, request_id: str) -> None:
        self._body = body
        self._id = request_id

    def request(self) -> Payload:
        body = self._body
        for name in _STATEFUL:
            if body.get(name):
                raise _unsupported(f"'{name}': it keeps no state between requests")
        chat: Payload = {name: value for name, value in body.items() if name not in _HANDLED}
        if isinstance(instructions := body.get("instructions"), str):
            first: list[Payload] = [{"role": "system", "content": instructions}]
        else:
            first = []
        chat["messages"] = first + _turns(body.get("input"))
        if "max_output_tokens" in body:
            chat["max_tokens"] = body["max_output_tokens"]
        if "top_logprobs" in body:
            chat["logprobs"] = True
        if effort := read.mapping(body.get("reasoning")).get("effort"):
            chat["reasoning_effort"] = effort
        _format(read.mapping(body.get("text")), chat)
        if tools := read.objects(body.get("tools")):
            chat["tools"] = [_tool(tool) for tool in tools]
        if (choice := body.get("tool_choice")) is not None:
            chat["tool_choice"] = _tool_choice(choice)
        if body.get("stream") is True:
            chat["stream"] = True
            chat["stream_options"] = {"include_usage": True}
        return chat

    def whole(self, payload: Payload) -> Payload:
        choice = (read.objects(payload.get("choices")) or [{}])[0]
        message = read.mapping(choice.get("message"))
        output: list[Payload] = []
        if thought := read.text(message.get("reasoning_content")) or read.text(message.get("reasoning")):
            output.append(_reasoning(f"rs_{self._id}", thought))
        if said := read.words(message.get("content")) or read.text(message.get("refusal")):
            output.append(_message(f"msg_{self._id}", said, "completed"))
        for position, call in enumerate(read.objects(message.get("tool_calls"))):
            function = read.mapping(call.get("function"))
            made = (call.get("id"), function.get("name"), function.get("arguments") or "")
            output.append(_call(f"fc_{self._id}_{position}", *made, "completed"))
        cut = choice.get("finish_reason") == "length"
        return response(self._body, self._id, payload.get("model"), output, _usage(payload.get("usage")), cut=cut)

    def stream(self) -> _Stream:
        return _Stream(self._body, self._id)


class _Stream:
    """Builds the output item by item; each is added, filled by deltas and done before the next begins."""

    def __init__(self, body: Payload, request_id: str) -> None:
        self._body = body
        self._id = request_id
        self._model: Any = None
        self._number = -1
        self._output: list[Payload] = []
        self._open: tuple[str, int] | None = None
        self._text: list[str] = []
        self._usage: Payload | None = None
        self._cut = False
        self._begun = False

    def event(self, data: bytes) -> bytes:
        if not data or data == b"[DONE]":
            return b""
        chunk = read.mapping(_decode(data))
        self._model = self._model or chunk.get("model")
        out = self._begin()
        if chunk.get("usage"):
            self._usage = _usage(chunk["usage"])
        for choice in read.objects(chunk.get("choices"))[:1]:
            delta = read.mapping(choice.get("delta"))
            if thought := read.text(delta.get("reasoning_content")) or read.text(delta.get("reasoning")):
                out += self._piece("reasoning", thought)
            if said := read.text(delta.get("content")) or read.text(delta.get("refusal")):
                out += self._piece("message", said)
            for call in read.objects(delta.get("tool_calls")):
                out += self._call(call)
            self._cut = self._cut or choice.get("finish_reason") == "length"
        return b"".join(out)

    def close(self) -> bytes:
        out = self._begin() + self._end_item()
        whole = response(self._body, self._id, self._model, self._output, self._usage, cut=self._cut)
        out.append(self._event(f"response.{whole['status']}", response=whole))
        return b"".join(out)

    def _event(self, kind: str, **fields: Any) -> bytes:
        self._number += 1
        return sse.event(_encode({"type": kind, "sequence_number": self._number, **fields}), kind)

    def _begin(self) -> list[bytes]:
        if self._begun:
            return []
        self._begun = True
        whole = {**response(self._body, self._id, self._model, [], None, cut=False), "status": "in_progress"}
        return [self._event(f"response.{kind}", response=whole) for kind in ("created", "in_progress")]

    def _start(self, key: tuple[str, int], item: Payload) -> list[bytes]:
        out = self._end_item()
        self._open, self._text = key, []
        self._output.append(item)
        out.append(self._event("response.output_item.added", output_index=len(self._output) - 1, item=item))
        return out

    def _here(self) -> dict[str, Any]:
        return {"item_id": self._output[-1]["id"], "output_index": len(self._output) - 1}

    def _piece(self, kind: str, piece: str) -> list[bytes]:
        out: list[bytes] = []
        spoken = kind == "message"
        if self._open != (kind, 0):
            number = len(self._output)
            item = (
                _message(f"msg_{self._id}_{number}", None, "in_progress")
                if spoken
                else _reasoning(f"rs_{self._id}_{number}", None)
            )
            out += self._start((kind, 0), item)
            if spoken:
                out.append(self._event("response.content_part.added", **self._here(), content_index=0, part=_part("")))
        self._text.append(piece)
        name = "output_text" if spoken else "reasoning_text"
        extra: Payload = {"logprobs": []} if spoken else {}
        out.append(self._event(f"response.{name}.delta", **self._here(), content_index=0, delta=piece, **extra))
        return out

    def _call(self, call: Payload) -> list[bytes]:
        function = read.mapping(call.get("function"))
        key = ("function_call", call.get("index", 0))
        out: list[bytes] = []
        if self._open != key:
            item = _call(f"fc_{self._id}_{len(self._output)}", call.get("id"), function.get("name"), "", "in_progress")
            out += self._start(key, item)
        if piece := read.text(function.get("arguments")):
            self._text.append(piece)
            out.append(self._event("response.function_call_arguments.delta", **self._here(), delta=piece))
        return out

    def _end_item(self) -> list[bytes]:
        if self._open is None:
            return []
        kind, text, item = self._open[0], "".join(self._text), self._output[-1]
        self._open = None
        out: list[bytes] = []
        if kind == "message":
            out.append(
                self._event("response.output_text.done", **self._here(), content_index=0, text=text, logprobs=[])
            )
            out.append(self._event("response.content_part.done", **self._here(), content_index=0, part=_part(text)))
            done = _message(item["id"], text, "completed")
        elif kind == "reasoning":
            out.append(self._event("response.reasoning_text.done", **self._here(), content_index=0, text=text))
            done = _reasoning(item["id"], text)
        else:
            name = item["name"]
            out.append(self._event("response.function_call_arguments.done", **self._here(), name=name, arguments=text))
            done = _call(item["id"], item["call_id"], name, text, "completed")
        self._output[-1] = done
        out.append(self._event("response.output_item.done", output_index=len(self._output) - 1, item=done))
        return out


def response(
    body: Payload, request_id: str, model: Any, output: list[Payload], usage: Payload | None, *, cut: bool
) -> Payload:
    """The response object; ``cut`` says that the answer ran into its length limit."""
    return {
        "id": f"resp_{request_id}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": model or body.get("model"),
        "output": output,
        "usage": usage,
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": read.items(body.get("tools")),
        "text": read.mapping(body.get("text")) or {"format": {"type": "text"}},
        "metadata": read.mapping(body.get("metadata")),
        "store": False,
        "truncation": "disabled",
        **{name: body.get(name) for name in _ECHOED},
    }


def _part(text: str) -> Payload:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message(item_id: str, text: str | None, status: str) -> Payload:
    content = [] if text is None else [_part(text)]
    return {"type": "message", "id": item_id, "role": "assistant", "status": status, "content": content}


def _reasoning(item_id: str, text: str | None) -> Payload:
    content = [] if text is None else [{"type": "reasoning_text", "text": text}]
    return {"type": "reasoning", "id": item_id, "summary": [], "content": content}


def _call(item_id: str, call_id: Any, name: Any, arguments: Any, status: str) -> Payload:
    made = {"call_id": call_id, "name": name, "arguments": arguments, "status": status}
    return {"type": "function_call", "id": item_id, **made}


def _usage(raw: Any) -> Payload | None:
    usage = read.mapping(raw)
    if not usage:
        return None
    prompt, completion = read.count(usage.get("prompt_tokens")) or 0, read.count(usage.get("completion_tokens")) or 0
    cached = read.mapping(usage.get("prompt_tokens_details")).get("cached_tokens")
    thought = read.mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": read.count(cached) or 0, "cache_write_tokens": 0},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": read.count(thought) or 0},
        "total_tokens": prompt + completion,
    }


def _turns(given: Any) -> list[Payload]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    turns: list[Payload] = []
    for item in read.objects(given):
        kind = item.get("type", "message")
        if kind == "message":
            turns.append({"role": item.get("role"), "content": _content(item.get("content"))})
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            if turns and turns[-1].get("tool_calls"):
                turns[-1]["tool_calls"].append(call)
            else:
                turns.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif kind == "function_call_output":
            said = read.words(item.get("output"))
            turns.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": said})
        elif kind != "reasoning":
            raise _unsupported(f"an input item of type {kind!r}")
    return turns


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    parts: list[Payload] = []
    for part in read.objects(content):
        kind = part.get("type")
        if kind in ("input_text", "output_text", "text"):
            parts.append({"type": "text", "text": part.get("text")})
        elif kind == "refusal":
            parts.append({"type": "text", "text": part.get("refusal")})
        elif kind == "input_image" and part.get("image_url"):
            parts.append({"type": "image_url", "image_url": {"url": part["image_url"]}})
        else:
            raise _unsupported(f"content of type {kind!r}")
    if all(part["type"] == "text" for part in parts):
        return "\n".join(str(part["text"]) for part in parts)
    return parts


def _tool(tool: Payload) -> Payload:
    if tool.get("type") != "function":
        raise _unsupported(f"a tool of type {tool.get('type')!r}")
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, str):
        return choice
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    raise _unsupported("this tool_choice")


def _format(text: Payload, chat: Payload) -> None:
    wanted = read.mapping(text.get("format"))
    if wanted.get("type") == "json_schema":
        schema = {name: value for name, value in wanted.items() if name != "type"}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif wanted.get("type") == "json_object":
        chat["response_format"] = wanted
    if "verbosity" in text:
        chat["verbosity"] = text["verbosity"]


def _unsupported(what: str) -> Fault:
    return Fault(
        "unsupported",
        f"the model server behind this gateway can't take {what}",
        remedy="Leave it out, or use a model whose server speaks this API itself.",
    )
