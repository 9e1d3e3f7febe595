"""OpenAI's text completions: a prompt, or a list of them, without roles."""

from __future__ import annotations

from typing import Any

import msgspec

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire import read
from spiritsafe.gateway.wire.chat import usage
from spiritsafe.gateway.wire.types import Answer, Ask, Family, Payload
from spiritsafe.record.exchange import Message

_KNOWN = read.WHO | frozenset({"model", "prompt", "stream"})
_PARAMS = frozenset(
    [
        "temperature",
        "top_p",
        "n",
        "logprobs",
        "seed",
        "max_tokens",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "best_of",
        "echo",
        "suffix",
        "stream_options",
        "top_k",
        "min_p",
    ]
)


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    text: Any = None
    finish_reason: Any = None


class _Chunk(msgspec.Struct, gc=False):
    id: Any = None
    model: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_chunk = msgspec.json.Decoder(_Chunk).decode


class Completions:
    """See ``wire.types.Dialect``. A whole answer is heard like an event that says all at once."""

    name = "completions"
    path = "/v1/completions"
    family: Family = "openai"

    def ask(self, body: Payload) -> Ask:
        prompts = _prompts(body.get("prompt"))
        options = read.mapping(body.get("stream_options"))
        params, extra = read.sort(body, _PARAMS, _KNOWN)
        return Ask(
            model=read.model_of(body),
            stream=body.get("stream") is True,
            messages=tuple(Message("user", prompt) for prompt in prompts),
            params=params,
            extra=extra,
            choices=read.count_of(body) * len(prompts),
            wants_usage=options.get("include_usage") is True,
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
            if isinstance(part.text, str):
                choice.text.append(part.text)
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
        return True


def _prompts(prompt: Any) -> list[Any]:
    """The prompts as a list: texts, or lists of token ids."""
    if isinstance(prompt, str):
        return [prompt]
    if isinstance(prompt, list) and prompt:
        if all(isinstance(item, int) for item in prompt):
            return [prompt]
        if all(isinstance(item, str | list) for item in prompt):
            return prompt
    raise Fault("invalid_request", "'prompt' is missing or no text", remedy="Send a text, or a list of them.")
