"""OTLP spans: attributes unwrapped, messages from attributes or events, spans of tools passed over."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from spiritsafe.errors import Problem
from spiritsafe.record.exchange import Exchange, Message, prompt_text
from spiritsafe.record.importers import Options, importer

Load = Callable[..., list[Exchange]]


def test_a_chat(load: Load) -> None:
    chat = load("otel")[0]
    call = {"type": "tool_call", "id": "c1", "name": "look_up", "arguments": {"what": "age"}}
    answer = {"type": "tool_call_response", "id": "c1", "response": "3 years"}
    assert chat == Exchange(
        exchange_id="chatcmpl-77",
        time=datetime(2026, 3, 2, 10, 0, 0, 250_000, tzinfo=UTC),
        account_id="user-1",
        model="still-large",
        endpoint="/v1/chat/completions",
        system="You know about stills.",
        messages=(
            Message("user", "How long is a spirit aged?"),
            Message("assistant", [call]),
            Message("tool", [answer]),
            Message("user", "In one word?"),
        ),
        completion="Three years.",
        reasoning="Think of oak.",
        prompt_tokens=12,
        completion_tokens=7,
        latency_ms=1250.0,
        status=200,
        params={"temperature": 0.5, "max_tokens": 200, "n": 2},
        ip_prefix="203.0.113.9",
        client="openai-python/2.6",
        session="conv-1",
        extra=chat.extra,
    )
    assert prompt_text(chat) == "In one word?"
    assert chat.extra["unknown.attribute"] == "marker-7531"
    assert chat.extra["server.port"] == 443
    assert chat.extra["gen_ai.response.finish_reasons"] == ["stop", "stop"]
    assert [choice["parts"][0]["content"] for choice in chat.extra["choices"]] == ["Years."]
    assert chat.extra["resource"] == {"service.name": "cellar"}


def test_messages_in_an_event_and_an_error(load: Load) -> None:
    exchanges = load("otel", options=Options(account="cellar"))
    assert len(exchanges) == 2
    failed = exchanges[1]
    assert failed.exchange_id == "5b8efff798038103d269b633813fc60c-eee19b7ec3c1b175"
    assert failed.messages == (Message("user", "Oak is"),)
    assert (failed.status, failed.account_id, failed.endpoint) == (500, "cellar", "/v1/completions")
    assert (failed.prompt_tokens, failed.completion_tokens) == (3, 0)
    assert failed.extra["error.type"] == "timeout"


def test_one_document_over_many_lines(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "traces.json"
    source = Path(__file__).parent / "data" / "otel.jsonl"
    path.write_text(json.dumps(json.loads(source.read_text().splitlines()[0]), indent=2))
    assert load("otel", path) == load("otel")[:1]


def test_other_json_is_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "log"
    span = {"attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}], "spanId": "ab"}
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}) + '\n{"resourceLogs": []}\n')
    found = list(importer("otel").read([path], Options()))
    assert [type(item) for item in found] == [Problem, Problem]
    assert "startTimeUnixNano" in str(found[0])
    assert "resourceSpans" in str(found[1])


def test_values_of_every_kind(load: Load, tmp_path: Path) -> None:
    values = {
        "gen_ai.operation.name": {"stringValue": "chat"},
        "a": {"boolValue": False},
        "b": {"doubleValue": 0.5},
        "c": {"intValue": 7},
        "d": {"intValue": "many"},
        "e": {"kvlistValue": {"values": [{"key": "x", "value": {"arrayValue": {"values": [{"intValue": "1"}]}}}]}},
        "f": {},
    }
    span = {
        "spanId": "ab",
        "startTimeUnixNano": 1772445600000000000,
        "attributes": [{"key": key, "value": value} for key, value in values.items()],
    }
    path = tmp_path / "log"
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}) + "\n")
    [exchange] = load("otel", path)
    wanted = {"a": False, "b": 0.5, "c": 7, "d": "many", "e": {"x": [1]}, "f": None}
    assert {name: exchange.extra[name] for name in wanted} == wanted
