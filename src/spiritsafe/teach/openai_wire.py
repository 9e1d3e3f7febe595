"""OpenAI's wire form from the client's side: requests written, answers read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast, get_args

import msgspec

from spiritsafe.teach.types import Candidate, Chat, Delta, Finish, Json, Prompt, Raw, Sampling, Token, ToolCall

SPELLED = re.compile(r"bytes:(\\x[0-9a-f]{2})+")
FINISHES = frozenset(get_args(Finish))


def request_body(model: str, prompt: Prompt, sampling: Sampling, *, limit: str) -> Json:
    """The body that asks for ``prompt``; ``limit`` is what the server calls its largest number of tokens."""
    body: Json = {"model": model, "temperature": sampling.temperature, "top_p": sampling.top_p, "n": sampling.n}
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if isinstance(prompt, Raw):
        body["prompt"] = prompt.text
        body |= {} if sampling.max_tokens is None else {"max_tokens": sampling.max_tokens}
        body |= {} if sampling.logprobs is None else {"logprobs": sampling.logprobs}
        return body
    if sampling.max_tokens is not None:
        body[limit] = sampling.max_tokens
    if sampling.logprobs is not None:
        body["logprobs"] = True
        body["top_logprobs"] = sampling.logprobs
    chat = Chat(({"role": "user", "content": prompt},)) if isinstance(prompt, str) else prompt
    body["messages"] = list(chat.messages)
    if chat.tools:
        body["tools"] = list(chat.tools)
        body |= {} if chat.tool_choice is None else {"tool_choice": chat.tool_choice}
    if chat.response_format is not None:
        body["response_format"] = chat.response_format
    return body


def whole_deltas(body: Json) -> Iterator[Delta]:
    """Each choice of a whole answer as one delta.

    Raises KeyError, TypeError, ValueError, IndexError or AttributeError for a body of another shape.
    """
    usage = body.get("usage") or {}
    choices = body["choices"]
    for choice in choices:
        message = choice.get("message") or {"content": choice.get("text")}
        tokens = _tokens(choice.get("logprobs"))
        yield Delta(
            choice=int(choice["index"]),
            text=str(message.get("content") or ""),
            reasoning=_reasoning(message),
            tokens=tokens,
            tool_calls=tuple(
                ToolCall(id=str(call["id"]), name=call["function"]["name"], arguments=call["function"]["arguments"])
                for call in message.get("tool_calls") or ()
            ),
            finish=_finish(choice.get("finish_reason")),
            prompt_tokens=usage.get("prompt_tokens"),
            completion_tokens=usage.get("completion_tokens") if len(choices) == 1 else len(tokens) or None,
        )


class StreamReader:
    """Reads the chunks of one streamed answer.

    A choice's last delta is held until the stream ends: the counts of tokens come after it. With several
    choices a server tells only their sum, so each has the number of its logprobs, if it has any.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._finishes: dict[int, Finish] = {}
        self._calls: dict[int, dict[int, dict[str, str]]] = {}
        self._counts: dict[int, int] = {}
        self._usage: Json = {}

    @property
    def complete(self) -> bool:
        """Whether every choice has finished."""
        return len(self._finishes) == self._n

    def read(self, chunk: Json) -> Iterator[Delta]:
        """The deltas of one chunk. Raises ValueError for one of another shape."""
        try:
            self._usage = chunk.get("usage") or self._usage
            for choice in chunk.get("choices") or ():
                delta = self._choice(choice)
                if delta.text or delta.tokens or delta.reasoning:
                    yield delta
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"a chunk makes no sense: {error!r}") from error

    def finish(self) -> Iterator[Delta]:
        """The last delta of each choice that finished, with its tool calls."""
        for choice, finish in sorted(self._finishes.items()):
            calls = self._calls.get(choice, {})
            yield Delta(
                choice=choice,
                tool_calls=tuple(msgspec.convert(calls[at], ToolCall) for at in sorted(calls)),
                finish=finish,
                prompt_tokens=self._usage.get("prompt_tokens"),
                completion_tokens=self._usage.get("completion_tokens") if self._n == 1 else self._counts.get(choice),
            )

    def _choice(self, choice: Json) -> Delta:
        index = int(choice["index"])
        if not 0 <= index < self._n:
            raise ValueError(f"choice {index} of {self._n}")
        shown = choice.get("delta") or {"content": choice.get("text")}
        for call in shown.get("tool_calls") or ():
            known = self._calls.setdefault(index, {}).setdefault(
                int(call["index"]), {"id": "", "name": "", "arguments": ""}
            )
            function = call.get("function") or {}
            known["id"] += call.get("id") or ""
            known["name"] += function.get("name") or ""
            known["arguments"] += function.get("arguments") or ""
        if choice.get("finish_reason") is not None:
            self._finishes[index] = _finish(choice["finish_reason"])
        tokens = _tokens(choice.get("logprobs"))
        if tokens:
            self._counts[index] = self._counts.get(index, 0) + len(tokens)
        return Delta(choice=index, text=str(shown.get("content") or ""), reasoning=_reasoning(shown), tokens=tokens)


def _reasoning(message: Json) -> str:
    """What a reasoning model thought before it answered: not OpenAI's, but spelled alike by those who show it."""
    return str(message.get("reasoning_content") or message.get("reasoning") or "")


def _finish(reason: Any) -> Finish:
    """Servers invent reasons; one that is not known is an end like any other."""
    return cast(Finish, reason) if reason in FINISHES else "stop"


def _tokens(logprobs: Json | None) -> tuple[Token, ...]:
    if not logprobs:
        return ()
    if "tokens" in logprobs:
        return _parallel(logprobs)
    return tuple(
        Token(
            id=None,
            text=each["token"],
            data=_data(each),
            logprob=each["logprob"],
            top=tuple(
                Candidate(None, top["token"], _data(top), top["logprob"]) for top in each.get("top_logprobs") or ()
            ),
        )
        for each in logprobs.get("content") or ()
    )


def _parallel(logprobs: Json) -> tuple[Token, ...]:
    """The form of completions: lists side by side."""
    texts: Sequence[str] = logprobs["tokens"]
    tops = logprobs.get("top_logprobs") or [{}] * len(texts)
    return tuple(
        Token(
            id=None,
            text=_unspelled(text).decode("utf-8", "replace"),
            data=_unspelled(text),
            logprob=logprob,
            top=tuple(
                Candidate(None, data.decode("utf-8", "replace"), data, value)
                for data, value in ((_unspelled(other), value) for other, value in (top or {}).items())
            ),
        )
        for text, logprob, top in zip(texts, logprobs["token_logprobs"], tops, strict=True)
    )


def _unspelled(text: str) -> bytes:
    """Tokens that are no text are spelled ``bytes:\\xf0\\x9f`` in completions."""
    if not SPELLED.fullmatch(text):
        return text.encode()
    return bytes.fromhex(text.removeprefix("bytes:").replace("\\x", ""))


def _data(token: Json) -> bytes:
    data = token.get("bytes")
    return bytes(data) if data is not None else str(token["token"]).encode()
