"""vLLM's log: lines of old and new versions, plain and JSON, joined by request."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from spiritsafe.errors import Problem
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.importers import Options, importer

Load = Callable[..., list[Exchange]]


def test_requests_and_answers_are_joined(load: Load) -> None:
    chat, completion, unanswered = load("vllm", options=Options(account="cellar"))
    assert chat == Exchange(
        exchange_id="chatcmpl-v1",
        time=datetime(2026, 3, 2, 10, tzinfo=UTC),
        account_id="cellar",
        endpoint="/v1/chat/completions",
        messages=(Message("user", "<|user|>\nWhat's a still?\n<|assistant|>\n"),),
        completion="A pot that\nboils.",
        completion_tokens=3,
        latency_ms=2000.0,
        status=200,
        params=chat.params,
        extra={"rendered_prompt": True, "finish": "stop"},
    )
    assert chat.params["temperature"] == 0.7
    assert chat.params["max_tokens"] == 100
    assert chat.params["stop"] == ["<end>"]
    assert "seed" not in chat.params
    assert completion.messages == (Message("user", "Oak is"),)
    assert (completion.completion, completion.latency_ms) == (" a wood", 2000.0)
    assert (unanswered.exchange_id, unanswered.completion, unanswered.status) == ("chatcmpl-v3", None, None)
    assert unanswered.time == datetime(2026, 3, 2, 10, 0, 5, tzinfo=UTC)


def write(path: Path, text: str, changed: datetime) -> Path:
    path.write_text(text)
    os.utime(path, (changed.timestamp(), changed.timestamp()))
    return path


def test_the_year_is_that_of_the_last_such_date(load: Load, tmp_path: Path) -> None:
    line = "INFO {} [logger.py:41] Received request cmpl-{}: params: SamplingParams(n=1), lora_request: None.\n"
    text = line.format("12-31 23:59:59", 1) + line.format("01-01 00:00:01", 2) + line.format("02-29 12:00:00", 3)
    path = write(tmp_path / "log", text, datetime(2026, 1, 1, 1, tzinfo=UTC))
    found = list(importer("vllm").read([path], Options()))
    times = [item.exchange.time for item in found if not isinstance(item, Problem)]
    assert times == [datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)]
    assert [item.where for item in found if isinstance(item, Problem)] == [f"{path}:3"]


def test_answers_of_parts_and_deltas_are_joined(load: Load, tmp_path: Path) -> None:
    text = (
        "INFO 03-02 10:00:00 [logger.py:41] Received request cmpl-7-0: prompt: None, params: None, x: None.\n"
        "INFO 03-02 10:00:01 [logger.py:71] Generated response cmpl-7 (streaming delta): output: 'a ', "
        "output_token_ids: [1], finish_reason: streaming_delta\n"
        "INFO 03-02 10:00:02 [logger.py:71] Generated response cmpl-7 (streaming complete): output: '', "
        "output_token_ids: None, finish_reason: streaming_complete\n"
        "INFO 03-02 10:00:03 [logger.py:71] Generated response cmpl-8: output: 'b', finish_reason: stop\n"
    )
    path = write(tmp_path / "log", text, datetime(2026, 3, 3, tzinfo=UTC))
    joined, alone = load("vllm", path)
    assert (joined.exchange_id, joined.completion, joined.messages, joined.params) == ("cmpl-7-0", "a ", None, {})
    assert (alone.exchange_id, alone.completion) == ("cmpl-8", "b")


def test_a_request_without_a_time_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "log", "Received request cmpl-1: params: None\n", datetime(2026, 3, 3, tzinfo=UTC))
    [problem] = list(importer("vllm").read([path], Options()))
    assert isinstance(problem, Problem)
    assert problem.where == f"{path}:1"
    assert "when this request came in" in problem.message
