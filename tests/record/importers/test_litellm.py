"""LiteLLM's payload: people and keys from its metadata, text however it is wrapped, failures with their status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from spiritsafe.errors import Problem
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.importers import Options, importer

Load = Callable[..., list[Exchange]]


def test_a_chat(load: Load) -> None:
    chat = load("litellm")[0]
    assert chat == Exchange(
        exchange_id="chatcmpl-9f1",
        time=datetime(2026, 3, 2, 10, 0, 0, 250_000, tzinfo=UTC),
        account_id="user-1",
        key_id="a3f0",
        model="still-large",
        endpoint="/v1/chat/completions",
        system="You know about stills.",
        messages=(Message("user", "How long is a spirit aged?"),),
        completion="Three years at least.",
        reasoning="Think of oak.",
        prompt_tokens=12,
        completion_tokens=7,
        reasoning_tokens=3,
        latency_ms=1250.0,
        status=200,
        params={"temperature": 0.2, "stream": True},
        ip_prefix="203.0.113.9",
        client="openai-python/2.6",
        extra=chat.extra,
    )
    assert chat.extra["call_type"] == "acompletion"
    assert chat.extra["request_tags"] == ["prod"]
    assert chat.extra["metadata"] == {"spend_logs_metadata": {"project": "casks"}}


def test_nobody_is_named_in_what_is_left_over(load: Load) -> None:
    left = str([exchange.extra for exchange in load("litellm")])
    assert not any(raw in left for raw in ("someone@example.com", "user-1", "203.0.113.9", "openai-python", "a3f0"))


def test_a_failure(load: Load) -> None:
    failure = load("litellm")[1]
    assert (failure.status, failure.completion, failure.account_id) == (429, None, "b4")
    assert failure.messages == (Message("user", "plain text prompt"),)
    assert failure.time == datetime(2026, 3, 2, 11, tzinfo=UTC)
    assert failure.ip_prefix == "2001:db8:1:2::3"


def test_a_wrapped_payload_with_json_inside_text(load: Load) -> None:
    embedding = load("litellm")[2]
    assert embedding.endpoint == "/v1/embeddings"
    assert embedding.account_id == "team-7"
    assert embedding.messages == (Message("user", "oak"),)
    assert embedding.completion is None


def test_other_json_is_no_payload(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"call_type": "completion"}\n{"startTime": 3}\n')
    found = list(importer("litellm").read([path], Options()))
    assert [type(item) for item in found] == [Problem, Problem]
    assert "startTime" in str(found[0])
