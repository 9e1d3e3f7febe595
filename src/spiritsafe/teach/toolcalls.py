"""Tools in a chat: how a model is told of them, how it is made to call one, how its calls are read.

The form is that of Hermes and Qwen: ``<tool_call>`` and a JSON object with ``name`` and ``arguments``.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Any

from spiritsafe.errors import InputError
from spiritsafe.teach.grammar import Symbol, alt, json_value, literal, seq
from spiritsafe.teach.types import Chat, Json, ToolCall

OPEN, CLOSE = "<tool_call>", "</tool_call>"


def prepared(chat: Chat, *, template_has_tools: bool) -> list[Json]:
    """The messages as a chat template wants them: text contents, known roles, and tools where it has no place for them.

    A template that knows tools gets tool calls and tool results as they are; for one that does not they
    become text, and the tools are described in the system message.
    """
    messages = [_plain(message) for message in chat.messages]
    if template_has_tools:
        return messages
    messages = [_as_text(message) for message in messages]
    if chat.tools and chat.tool_choice != "none":
        text = describe(chat.tools)
        if messages and messages[0]["role"] == "system":
            messages[0] = {"role": "system", "content": f"{messages[0]['content']}\n\n{text}"}
        else:
            messages.insert(0, {"role": "system", "content": text})
    return messages


def describe(tools: Sequence[Json]) -> str:
    """Tell a model that knows nothing of tools which there are and how to call one."""
    lines = "\n".join(json.dumps(tool["function"]) for tool in tools)
    return (
        f"You can call these functions:\n{lines}\n"
        f'To call one, answer with {OPEN}\n{{"name": "its name", "arguments": {{...}}}}\n{CLOSE} and nothing else.'
    )


def check_tools(chat: Chat) -> None:
    """Raise InputError for tools or a choice of tool that make no sense."""
    for index, tool in enumerate(chat.tools):
        function = tool.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise InputError(
                "a tool must be a function with a name",
                where=f"tools[{index}]",
                remedy='Give {"type": "function", "function": {"name": ..., "parameters": {...}}}.',
            )
        if not isinstance(function.get("parameters", {}), dict):
            raise InputError(
                "parameters must be a JSON Schema object", where=f"tools[{index}]", remedy="Give an object schema."
            )
    forced_tools(chat)


def forced_tools(chat: Chat) -> tuple[Json, ...]:
    """The tools of which one must be called; none if the model is free.

    Raises InputError if ``tool_choice`` names none of them.
    """
    choice = chat.tool_choice
    if choice in (None, "auto", "none"):
        return ()
    if choice == "required" and chat.tools:
        return chat.tools
    name = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    named = tuple(tool for tool in chat.tools if tool["function"]["name"] == name)
    if not named:
        known = ", ".join(tool["function"]["name"] for tool in chat.tools) or "none were given"
        raise InputError(
            f"tool_choice {json.dumps(choice)} names no tool of this request",
            where="tool_choice",
            remedy=f'Give "auto", "none", "required" or one of the tools ({known}).',
        )
    return named[:1]


def language(chat: Chat) -> Symbol | None:
    """What the answer must be: a tool call, JSON of a schema, any JSON object, or None for free text."""
    tools = forced_tools(chat)
    if tools:
        calls = [
            seq(
                literal(f'{OPEN}\n{{"name": {json.dumps(tool["function"]["name"])}, "arguments": '),
                json_value({"type": "object", **tool["function"].get("parameters", {})}),
                literal(f"}}\n{CLOSE}"),
            )
            for tool in tools
        ]
        return alt(*calls)
    match (chat.response_format or {}).get("type", "text"):
        case "text":
            return None
        case "json_object":
            return json_value({"type": "object"})
        case "json_schema":
            return json_value((chat.response_format or {}).get("json_schema", {}).get("schema", {}))
        case other:
            raise InputError(
                f"{other!r} is no response format",
                where="response_format",
                remedy="Formats are text, json_object and json_schema.",
            )


class CallReader:
    """Reads a streamed answer: text goes through at once, a tool call comes out whole when it closes.

    What looks like a call but is none (bad JSON, an unknown function) is text, as the model wrote it.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._held = ""
        self._called = False

    def push(self, text: str, *, final: bool = False) -> tuple[str, list[ToolCall]]:
        """New text in; what can be shown, and the calls that closed. ``final`` lets go of everything held."""
        self._held += text
        out: list[str] = []
        calls: list[ToolCall] = []
        while True:
            begin = self._held.find(OPEN)
            end = self._held.find(CLOSE, begin) if begin >= 0 else -1
            if end < 0:
                break
            inner, whole = self._held[begin + len(OPEN) : end], end + len(CLOSE)
            call = _parse(inner, self._names)
            out.append(self._held[:begin].rstrip() if call else self._held[:whole])
            if call:
                calls.append(call)
                self._called = True
            self._held = self._held[whole:].lstrip() if call else self._held[whole:]
        keep = 0 if final else self._kept(begin)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        out.append(shown)
        text = "".join(out)
        # Between and after calls models put line breaks that mean nothing.
        return ("" if self._called and not text.strip() else text), calls

    def _kept(self, begin: int) -> int:
        """How much of the end may be the beginning of a call, or the space before one."""
        if begin >= 0:
            return len(self._held) - len(self._held[:begin].rstrip())
        bare = self._held
        for size in range(min(len(OPEN) - 1, len(bare)), 0, -1):
            if OPEN.startswith(bare[-size:]):
                bare = bare[:-size]
                break
        return len(self._held) - len(bare.rstrip())


def _parse(text: str, names: frozenset[str]) -> ToolCall | None:
    try:
        call = json.loads(text)
    except ValueError:
        return None
    if not isinstance(call, dict) or call.get("name") not in names:
        return None
    arguments = call.get("arguments", {})
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(id=f"call_{secrets.token_hex(12)}", name=call["name"], arguments=written)


def _plain(message: Json) -> Json:
    """One message with text content, ``developer`` called ``system``, and tool arguments as objects."""
    role = message.get("role")
    if not isinstance(role, str):
        raise InputError("a message needs a role", where="messages", remedy="Give system, user, assistant or tool.")
    plain: Json = {**message, "role": "system" if role == "developer" else role, "content": _text(message)}
    if message.get("tool_calls"):
        plain["tool_calls"] = [_plain_call(call) for call in message["tool_calls"]]
    return plain


def _plain_call(call: Any) -> Json:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise InputError("a tool call needs a function with a name", where="messages", remedy="Correct the message.")
    arguments = function.get("arguments") or "{}"
    try:
        parsed = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        parsed = arguments
    return {**call, "function": {**function, "arguments": parsed}}


def _text(message: Json) -> str:
    content = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(
            "this teacher reads text alone",
            where="messages",
            remedy='Give a string, or parts of {"type": "text", "text": ...}.',
        )
    return "\n".join(text for text in texts if text)


def _as_text(message: Json) -> Json:
    """A tool call or a tool's result as a plain turn, for templates that have neither."""
    role, content = message["role"], message["content"]
    if role == "tool":
        return {"role": "user", "content": f"<tool_response>\n{content}\n</tool_response>"}
    calls = [
        f"{OPEN}\n{json.dumps({'name': call['function']['name'], 'arguments': call['function']['arguments']})}\n{CLOSE}"
        for call in message.get("tool_calls", ())
    ]
    return {"role": role, "content": "\n".join([*([content] if content else []), *calls])}
