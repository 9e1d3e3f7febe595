"""OpenAI's files: completions, list pages, and a batch's requests joined with their results."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from spiritsafe.errors import Problem
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.importers import Item, Options, importer

Load = Callable[..., list[Exchange]]


def test_a_stored_completion(load: Load) -> None:
    stored = load("openai")[0]
    assert stored == Exchange(
        exchange_id="chatcmpl-A1",
        time=datetime(2026, 3, 2, 10, tzinfo=UTC),
        account_id="user-1",
        model="still-large-2026",
        endpoint="/v1/chat/completions",
        system="You know about stills.",
        messages=(Message("user", "How long?"),),
        completion="Three years.",
        prompt_tokens=12,
        completion_tokens=7,
        reasoning_tokens=3,
        status=200,
        extra={
            "service_tier": "default",
            "system_fingerprint": "marker-7531",
            "metadata": {"user": "user-1", "job": "casks"},
        },
    )


def test_a_page_of_a_list(load: Load) -> None:
    page = load("openai", options=Options(account="ours"))[1]
    assert (page.exchange_id, page.account_id, page.completion, page.messages) == ("chatcmpl-A2", "ours", None, None)
    assert page.extra["choices"][0]["message"]["tool_calls"][0]["id"] == "c1"


def test_a_batch_is_joined_whichever_file_comes_first(load: Load, tmp_path: Path) -> None:
    joined = load("openai")[2]
    assert (joined.exchange_id, joined.account_id, joined.completion) == ("chatcmpl-B1", "user-2", "Oak.")
    assert joined.messages == (Message("user", "Which wood?"),)
    assert joined.params == {"temperature": 0}
    assert (joined.status, joined.extra["custom_id"], joined.extra["id"]) == (200, "row-1", "batch_req_1")
    lines = (Path(__file__).parent / "data" / "openai.jsonl").read_text().splitlines(keepends=True)
    results, requests = tmp_path / "results", tmp_path / "requests"
    results.write_text(lines[2])
    requests.write_text(lines[3])
    assert load("openai", requests, results) == load("openai", results, requests) == [joined]


def test_a_response(load: Load) -> None:
    response = load("openai")[3]
    assert (response.endpoint, response.system, response.completion) == ("/v1/responses", "Be brief.", "Oak.")
    assert response.reasoning == "Think of oak."
    assert (response.prompt_tokens, response.completion_tokens, response.reasoning_tokens) == (8, 4, 2)
    assert response.messages == (Message("user", "Which wood?"),)


def test_failures_and_requests_without_results_are_named(tmp_path: Path) -> None:
    lines = [
        {"custom_id": "a", "response": {"status_code": 400, "body": {"error": {"message": "too long"}}}, "error": None},
        {"custom_id": "b", "response": None, "error": {"code": "batch_expired", "message": ""}},
        {"custom_id": "c", "url": "/v1/chat/completions", "body": {"messages": []}},
        {"object": "chat.completion"},
    ]
    path = tmp_path / "log"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = list(importer("openai").read([path], Options()))
    assert all(isinstance(item, Problem) for item in found)
    told = {item.where: str(item) for item in found}
    assert "'a' failed: too long" in told[f"{path}:1"]
    assert "'b' failed: batch_expired" in told[f"{path}:2"]
    assert "'c' has no result" in told[f"{path}:3"]
    assert "lacks object or created" in told[f"{path}:4"]


def test_several_choices_are_kept(tmp_path: Path) -> None:
    choices = [{"index": n, "text": f"answer {n}", "finish_reason": "stop"} for n in range(2)]
    line = {"id": "cmpl-1", "object": "text_completion", "created": 1772445600, "choices": choices}
    path = tmp_path / "log"
    path.write_text(json.dumps(line) + "\n")
    [item] = list(importer("openai").read([path], Options()))
    assert isinstance(item, Item)
    assert (item.exchange.completion, item.exchange.endpoint) == ("answer 0", "/v1/completions")
    assert item.exchange.extra["choices"] == choices
