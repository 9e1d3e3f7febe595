"""OpenAI's wire form: requests read into our types, answers written out of them."""

from __future__ import annotations

import codecs
from typing import Annotated, Any, Literal

import msgspec

from spiritsafe.teach.types import Answer, Candidate, Chat, Delta, Json, Sampling, Token, ToolCall

Count = Annotated[int, msgspec.Meta(ge=1)]
Choices = Annotated[int, msgspec.Meta(ge=1, le=128)]
Heat = Annotated[float, msgspec.Meta(ge=0, le=2)]
Mass = Annotated[float, msgspec.Meta(gt=0, le=1)]
TopCount = Annotated[int, msgspec.Meta(ge=0, le=20)]
Penalty = Annotated[float, msgspec.Meta(ge=0, le=0)] | None
Stops = str | Annotated[list[str], msgspec.Meta(max_length=16)] | None


class StreamOptions(msgspec.Struct, frozen=True):
    """``include_usage`` asks for a last chunk with the counts of tokens."""

    include_usage: bool = False


class _Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """What both endpoints take. Penalties and a logit bias are read to be refused: ignoring them would be a lie."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    temperature: Heat | None = None
    top_p: Mass | None = None
    n: Choices | None = None
    stop: Stops = None
    seed: int | None = None
    frequency_penalty: Penalty = None
    presence_penalty: Penalty = None
    logit_bias: Annotated[dict[str, float], msgspec.Meta(max_length=0)] | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def drawn(self, max_tokens: int | None, logprobs: int | None) -> Sampling:
        """How to draw, with OpenAI's defaults."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Sampling(
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            max_tokens=max_tokens,
            n=self.n or 1,
            stop=stop,
            seed=self.seed,
            logprobs=logprobs,
        )


class ChatRequest(_Drawn, frozen=True, kw_only=True):
    """The body of ``/v1/chat/completions``; fields that are not here are ignored."""

    messages: Annotated[list[Json], msgspec.Meta(min_length=1)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: TopCount | None = None
    tools: list[Json] | None = None
    tool_choice: str | Json | None = None
    response_format: Json | None = None

    def chat(self) -> Chat:
        return Chat(tuple(self.messages), tuple(self.tools or ()), self.tool_choice, self.response_format)

    def sampling(self) -> Sampling:
        return self.drawn(
            self.max_completion_tokens or self.max_tokens, self.top_logprobs or 0 if self.logprobs else None
        )


class CompletionRequest(_Drawn, frozen=True, kw_only=True):
    """The body of ``/v1/completions``. 16 tokens are drawn unless it says otherwise, as OpenAI does."""

    prompt: str | Annotated[list[str], msgspec.Meta(min_length=1, max_length=128)]
    logprobs: TopCount | None = None

    def prompts(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    def sampling(self) -> Sampling:
        return self.drawn(self.max_tokens or 16, self.logprobs)


class EmbeddingsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``/v1/embeddings``."""

    model: str
    input: str | Annotated[list[str], msgspec.Meta(min_length=1, max_length=256)]
    encoding_format: Literal["float", "base64"] | None = None

    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class Usage:
    """Counts tokens over the choices of one request; a prompt counts once, however many choices it has."""

    def __init__(self) -> None:
        self._prompts: dict[int, int] = {}
        self._completions: dict[tuple[int, int], int] = {}

    def add(self, prompt: int, event: Delta | Answer) -> None:
        """Note the totals so far that ``event``, of the prompt numbered ``prompt``, tells of its choice."""
        self._prompts[prompt] = event.prompt_tokens or 0
        self._completions[prompt, event.choice] = event.completion_tokens or 0

    def wire(self) -> Json:
        prompt, completion = sum(self._prompts.values()), sum(self._completions.values())
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def error_body(message: str, kind: str, code: str | None = None, param: str | None = None) -> Json:
    """OpenAI's error shape."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def chat_choice(answer: Answer, *, logprobs: bool) -> Json:
    """One choice of a whole chat answer."""
    message: Json = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [_call(call) for call in answer.tool_calls]
    elif not answer.text:
        message["content"] = ""
    return {
        "index": answer.choice,
        "message": message,
        "logprobs": chat_logprobs(answer.tokens) if logprobs else None,
        "finish_reason": _reason(answer.finish),
    }


def chat_delta(delta: Delta, *, logprobs: bool, first_call: int) -> Json:
    """One choice of a streamed chunk; ``first_call`` is how many tool calls this choice has shown before."""
    shown: Json = {"content": delta.text} if delta.text else {}
    if delta.reasoning:
        shown["reasoning_content"] = delta.reasoning
    if delta.tool_calls:
        shown["tool_calls"] = [
            {"index": index, **_call(call)} for index, call in enumerate(delta.tool_calls, first_call)
        ]
    return {
        "index": delta.choice,
        "delta": shown,
        "logprobs": chat_logprobs(delta.tokens) if logprobs and delta.tokens else None,
        "finish_reason": None if delta.finish is None else _reason(delta.finish),
    }


def chat_logprobs(tokens: tuple[Token, ...]) -> Json:
    """Logprobs as chat answers give them."""
    content = [
        {**_priced(token.text, token.data, token.logprob), "top_logprobs": [_candidate(each) for each in token.top]}
        for token in tokens
    ]
    return {"content": content, "refusal": None}


class Offsets:
    """Where each token of one choice begins in its text, in characters, as its tokens come."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._next = 0

    def take(self, tokens: tuple[Token, ...]) -> list[int]:
        """The beginnings of the next tokens. A token that goes on with a character begins where that does."""
        starts = []
        for token in tokens:
            starts.append(self._next)
            self._next += len(self._decoder.decode(token.data))
        return starts


def text_choice(event: Answer | Delta, index: int, offsets: Offsets | None) -> Json:
    """One choice of a completion, whole or streamed; with ``offsets`` it has logprobs."""
    finish = event.finish
    return {
        "index": index,
        "text": event.text,
        "logprobs": None if offsets is None else text_logprobs(event.tokens, offsets.take(event.tokens)),
        "finish_reason": None if finish is None else _reason(finish),
    }


def text_logprobs(tokens: tuple[Token, ...], starts: list[int]) -> Json:
    """Logprobs as completions give them: parallel lists, where half a character is written ``bytes:\\xf0``."""
    return {
        "tokens": [_spelled(token) for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{_spelled(each): each.logprob for each in token.top} for token in tokens],
        "text_offset": starts,
    }


def _spelled(token: Token | Candidate) -> str:
    """Its text, or its bytes spelled out where they are no text: else several tokens would look alike."""
    if token.text.encode() == token.data:
        return token.text
    return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.data)


def _call(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _candidate(candidate: Candidate) -> Json:
    return _priced(candidate.text, candidate.data, candidate.logprob)


def _priced(text: str, data: bytes, logprob: float | None) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(data)}


def _reason(finish: str) -> str:
    """A cancelled answer is a cut one to whoever still hears of it."""
    return "length" if finish == "cancelled" else finish
