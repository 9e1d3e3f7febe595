"""OpenTelemetry spans of the GenAI conventions, in OTLP's JSON as the collector's file exporter writes it.

Each line (or the whole file) is a ``TracesData``: resourceSpans, scopeSpans, spans. Attributes and messages
follow the semantic conventions ``gen_ai.*``; messages stand in attributes of the span or of one of its
events, as JSON text or structured. Spans of tools and agents are passed over: their model calls have
spans of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spiritsafe.errors import Problem
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.importers.lines import json_documents
from spiritsafe.record.importers.shape import count, decoded, first, mapping, moment, objects, text
from spiritsafe.record.importers.types import Importer, Item

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from spiritsafe.record.importers.types import Found, Options

_ENDPOINTS = {
    "chat": "/v1/chat/completions",
    "generate_content": "/v1/chat/completions",
    "text_completion": "/v1/completions",
    "embeddings": "/v1/embeddings",
}
_ACCOUNT = ("enduser.id", "user.id", "enduser.pseudo.id")
_SESSION = ("gen_ai.conversation.id", "session.id")
_ADDRESS = ("client.address", "http.client_ip", "network.peer.address")
_PROGRAM = ("user_agent.original",)
_PARAMS = "gen_ai.request."
_KNOWN = {
    *("gen_ai.operation.name", "gen_ai.request.model", "gen_ai.response.id", "gen_ai.input.messages"),
    *("gen_ai.output.messages", "gen_ai.system_instructions", "http.response.status_code"),
    *("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    *("gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens"),
    *_ACCOUNT,
    *_SESSION,
    *_ADDRESS,
    *_PROGRAM,
}


def read(paths: Sequence[Path], options: Options) -> Iterator[Found]:
    """Read the spans that are model calls."""
    for path in paths:
        for found in json_documents(path):
            if isinstance(found, Problem):
                yield found
                continue
            where, document = found
            if "resourceSpans" not in document:
                yield Problem(where, "this is no OTLP trace: it lacks resourceSpans", "Check --from")
                continue
            for resource in objects(document["resourceSpans"]):
                about = _attributes(mapping(resource.get("resource")).get("attributes"))
                for scope in objects(resource.get("scopeSpans")):
                    for span in objects(scope.get("spans")):
                        call = _exchange(span, about, where, options)
                        if call is not None:
                            yield call


def _exchange(span: dict[str, Any], resource: dict[str, Any], where: str, options: Options) -> Found | None:
    told = _attributes(span.get("attributes"))
    for event in objects(span.get("events")):
        inner = _attributes(event.get("attributes"))
        told = {**{name: value for name, value in inner.items() if name.startswith("gen_ai.")}, **told}
    operation = told.get("gen_ai.operation.name")
    if operation not in _ENDPOINTS:
        return None
    begun = moment(span.get("startTimeUnixNano"), options.zone)
    ended = moment(span.get("endTimeUnixNano"), options.zone)
    if begun is None:
        return Problem(where, f"the span {span.get('spanId')!r} has no startTimeUnixNano", "Export whole spans")
    answers = objects(decoded(told.get("gen_ai.output.messages")))
    said, reasoning = _answer(answers[0]) if answers else (None, None)
    turns = decoded(told.get("gen_ai.input.messages"))
    params = {
        name.removeprefix(_PARAMS): value
        for name, value in told.items()
        if name.startswith(_PARAMS) and name != "gen_ai.request.model"
    }
    rest = {name: value for name, value in told.items() if name not in _KNOWN and not name.startswith(_PARAMS)}
    exchange = Exchange(
        exchange_id=text(told.get("gen_ai.response.id")) or f"{span.get('traceId')}-{span.get('spanId')}",
        time=begun,
        account_id=first(*(told.get(name) for name in _ACCOUNT), *(resource.get(name) for name in _ACCOUNT))
        or options.account,
        model=first(told.get("gen_ai.request.model"), told.get("gen_ai.response.model")),
        endpoint=_ENDPOINTS[operation],
        system=_text(_parts(decoded(told.get("gen_ai.system_instructions")))) or None,
        messages=tuple(_turn(turn) for turn in objects(turns)) if isinstance(turns, list) else None,
        completion=said,
        reasoning=reasoning,
        prompt_tokens=count(told.get("gen_ai.usage.input_tokens", told.get("gen_ai.usage.prompt_tokens"))),
        completion_tokens=count(told.get("gen_ai.usage.output_tokens", told.get("gen_ai.usage.completion_tokens"))),
        latency_ms=(ended - begun).total_seconds() * 1000 if ended is not None else None,
        status=count(told.get("http.response.status_code")) or _status(span),
        params={"n" if name == "choice.count" else name: value for name, value in params.items()},
        ip_prefix=first(*(told.get(name) for name in _ADDRESS)),
        client=first(*(told.get(name) for name in _PROGRAM)),
        session=first(*(told.get(name) for name in _SESSION)),
        extra={
            **rest,
            **({"choices": answers[1:]} if answers[1:] else {}),
            **({"resource": resource} if resource else {}),
            **{name: span[name] for name in ("traceId", "spanId", "parentSpanId") if span.get(name)},
        },
    )
    return Item(where, exchange)


def _status(span: dict[str, Any]) -> int:
    """What a span's own status means as one of HTTP: 2 (or its name) is an error."""
    return 500 if mapping(span.get("status")).get("code") in (2, "STATUS_CODE_ERROR") else 200


def _answer(turn: dict[str, Any]) -> tuple[str | None, str | None]:
    parts = _parts(turn.get("parts"))
    reasoning = [part.get("content") for part in parts if part.get("type") == "reasoning"]
    said = _text([part for part in parts if part.get("type") == "text"])
    return said or None, "\n".join(r for r in reasoning if isinstance(r, str)) or None


def _turn(turn: dict[str, Any]) -> Message:
    role = turn.get("role")
    extra = {name: value for name, value in turn.items() if name not in ("role", "parts")}
    parts = _parts(turn.get("parts"))
    if all(part.get("type") == "text" for part in parts):
        return Message(role if isinstance(role, str) else "unknown", _text(parts), extra)
    shown = [{"type": "text", "text": part.get("content")} if part.get("type") == "text" else part for part in parts]
    return Message(role if isinstance(role, str) else "unknown", shown, extra)


def _parts(value: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "content": value}] if isinstance(value, str) else objects(value)


def _text(parts: list[dict[str, Any]]) -> str:
    return "\n".join(part["content"] for part in parts if isinstance(part.get("content"), str))


def _attributes(value: Any) -> dict[str, Any]:
    return {str(item.get("key")): _value(item.get("value")) for item in objects(value)}


def _value(value: Any) -> Any:
    """Undo OTLP's wrapping of values; 64-bit numbers come as text."""
    value = mapping(value)
    if "intValue" in value:
        try:
            return int(value["intValue"])
        except (TypeError, ValueError):
            return value["intValue"]
    if "arrayValue" in value:
        return [_value(item) for item in objects(mapping(value["arrayValue"]).get("values"))]
    if "kvlistValue" in value:
        return _attributes(mapping(value["kvlistValue"]).get("values"))
    return next(iter(value.values()), None)


IMPORTER = Importer("otel", "OpenTelemetry GenAI spans as OTLP JSON", read)
