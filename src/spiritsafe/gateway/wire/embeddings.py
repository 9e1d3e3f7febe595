"""OpenAI's embeddings: texts in, vectors out. The record keeps the texts and how many vectors there were."""

from __future__ import annotations

from typing import Any

import msgspec

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire import read
from spiritsafe.gateway.wire.types import Answer, Ask, Family, Payload
from spiritsafe.record.exchange import Message

_KNOWN = read.WHO | frozenset({"model", "input"})
_PARAMS = frozenset({"dimensions", "encoding_format"})
_decode = msgspec.json.Decoder().decode


class Embeddings:
    """See ``wire.types.Dialect``. There is no streamed form."""

    name = "embeddings"
    path = "/v1/embeddings"
    family: Family = "openai"

    def ask(self, body: Payload) -> Ask:
        inputs = _inputs(body.get("input"))
        params, extra = read.sort(body, _PARAMS, _KNOWN)
        return Ask(
            model=read.model_of(body),
            stream=False,
            messages=tuple(Message("user", text) for text in inputs),
            params=params,
            extra=extra,
            user=read.text(body.get("user")) or read.text(body.get("safety_identifier")),
        )

    def read(self, data: bytes, ask: Ask, answer: Answer) -> None:
        payload = read.mapping(_decode(data))
        answer.model = read.text(payload.get("model"))
        vectors = payload.get("data")
        if isinstance(vectors, list):
            answer.output["embeddings"] = len(vectors)
        usage = read.mapping(payload.get("usage"))
        answer.prompt_tokens = read.count(usage.get("prompt_tokens"))
        answer.completion_tokens = 0

    def hear(self, data: bytes, ask: Ask, answer: Answer) -> bool:
        return data == b"[DONE]"

    def withhold(self, payload: Payload) -> bool:
        return True


def _inputs(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value:
        return [value] if all(isinstance(item, int) for item in value) else value
    raise Fault("invalid_request", "'input' is missing or no text", remedy="Send a text, or a list of them.")
