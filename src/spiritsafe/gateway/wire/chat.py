"""OpenAI's chat completions, the API nearly every model server speaks."""

from __future__ import annotations

from typing import Any

import msgspec

from spiritsafe.gateway.wire import read
from spiritsafe.gateway.wire.types import Answer, Ask, Choice, Family, Payload
from spiritsafe.record.exchange import Message

_KNOWN = frozenset(
    {"user", "safety_identifier", "prompt_cache_key", "model", "messages", "stream", "store", "metadata"}
)
_PARAMS = frozenset(
    [
        "temperature",
        "top_p",
        "n",
        "logprobs",
        "top_logprobs",
        "seed",
        "max_tokens",
        "max_completion_tokens",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "functions",
        "function_call",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "response_format",
        "reasoning_effort",
        "stream_options",
        "top_k",
        "min_p",
        "service_tier",
        "modalities",
        "verbosity",
        "prediction",
    ]
)
_REASONING = ("reasoning_content", "reasoning")


class _Delta(msgspec.Struct, gc=False):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: Any = None


class _Chunk(msgspec.Struct, gc=False):
    id: Any = None
    model: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_chunk = msgspec.json.Decoder(_Chunk).decode


class Chat:
    """See ``wire.types.Dialect``. A whole answer is heard like an event that says all at once."""

    name = "chat"
    path = "/v1/chat/completions"
    family: Family = "openai"

    def ask(self, body: Payload) -> Ask:
        turns = read.need(body, "messages", list, "a list of messages")
        system, messages = _split_system(turns)
        options = read.mapping(body.get("stream_options"))
        params, extra = read.sort(body, _PARAMS, _KNOWN)
        return Ask(
            model=read.model_of(body),
            stream=body.get("stream") is True,
            messages=messages,
            system=system,
            params=params,
            extra=extra,
            choices=read.count_of(body),
            wants_usage=options.get("include_usage") is True,
            store=body.get("store") is True,
            metadata=read.mapping(body.get("metadata")),
            user=read.text(body.get("user")) or read.text(body.get("safety_identifier")),
        )

    def read(self, data: bytes, ask: Ask, answer: Answer) -> None:
        self.hear(data, ask, answer)

    def hear(self, data: bytes, ask: Ask, answer: Answer) -> bool:
        answer.bare_usage = False
        if data == b"[DONE]":
            answer.over = True
            return True
        try:
            chunk = _chunk(data)
        except msgspec.ValidationError:
            answer.unread += 1
            return False
        if answer.id is None:
            answer.id, answer.model = read.text(chunk.id), read.text(chunk.model)
        if chunk.error:
            answer.error = read.mapping(chunk.error) or {"message": chunk.error}
        for position, part in enumerate(chunk.choices or ()):
            choice = answer.choice(position if part.index is None else part.index)
            said = part.delta or part.message
            if said is not None:
                _add(choice, said)
            if part.finish_reason:
                answer.finish(choice, str(part.finish_reason))
        if chunk.usage is not None:
            usage(chunk.usage, answer)
            answer.bare_usage = not chunk.choices
        return answer.finished >= ask.choices

    def withhold(self, payload: Payload) -> bool:
        for raw in read.objects(payload.get("choices")):
            if "logprobs" in raw:
                raw["logprobs"] = None
            for part in ("message", "delta"):
                said = raw.get(part)
                if isinstance(said, dict):
                    for name in (*_REASONING, "reasoning_details"):
                        said.pop(name, None)
        return True


def _split_system(turns: list[Any]) -> tuple[str | None, tuple[Message, ...]]:
    """The system prompt apart from the turns. One that is more than plain text stays among them as well."""
    messages = tuple([read.message(turn) for turn in turns])
    if not messages or messages[0].role not in ("system", "developer"):
        return None, messages
    first = messages[0]
    if first.role == "system" and isinstance(first.content, str) and not first.extra:
        return first.content, messages[1:]
    return read.words(first.content), messages


def _add(choice: Choice, delta: _Delta) -> None:
    if isinstance(delta.content, str):
        choice.text.append(delta.content)
    elif delta.content or isinstance(delta.refusal, str):
        choice.text.append(read.words(delta.content or delta.refusal))
    reasoning = delta.reasoning_content or delta.reasoning
    if isinstance(reasoning, str):
        choice.reasoning.append(reasoning)
    if delta.tool_calls or delta.function_call:
        _calls(choice, delta.tool_calls, delta.function_call)


def _calls(choice: Choice, calls: Any, function: Any) -> None:
    """Add tool calls, whole or in pieces; the older ``function_call`` counts as call 0."""
    if isinstance(function, dict):
        calls = [{"index": 0, "function": function}]
    for position, raw in enumerate(read.objects(calls)):
        index = raw.get("index", position)
        call = choice.call(index if isinstance(index, int) and index >= 0 else position)
        kind = read.text(raw.get("type")) or call.kind
        # A custom tool's input is free text under another name.
        body = read.mapping(raw.get(kind) or raw.get("function"))
        call.kind = kind
        call.id = call.id or read.text(raw.get("id")) or ""
        call.name += read.text(body.get("name")) or ""
        call.arguments += read.text(body.get("arguments")) or read.text(body.get("input")) or ""


def usage(raw: Any, answer: Answer) -> None:
    """Take the token counts of chat and text completions."""
    if not isinstance(raw, dict):
        return
    answer.prompt_tokens = read.count(raw.get("prompt_tokens"))
    answer.completion_tokens = read.count(raw.get("completion_tokens"))
    details = read.mapping(raw.get("completion_tokens_details"))
    answer.reasoning_tokens = read.count(details.get("reasoning_tokens"))
