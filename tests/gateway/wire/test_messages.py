from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire.messages import Messages
from spiritsafe.gateway.wire.types import Answer, ToolCall
from spiritsafe.record.exchange import Message

MESSAGES = Messages()
TURN = {"role": "user", "content": "Hello"}


def heard(*events: dict[str, Any] | bytes) -> tuple[Answer, list[bool]]:
    answer, ask = Answer(), MESSAGES.ask({"messages": [TURN]})
    raw = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return answer, [MESSAGES.hear(event, ask, answer) for event in raw]


def test_a_request_is_read() -> None:
    system = [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]
    body = {"model": "m", "messages": [TURN], "system": system, "max_tokens": 5, "metadata": {"user_id": "u"}, "new": 1}
    found = MESSAGES.ask(body)
    assert (found.system, found.messages, found.user) == ("Be\nbrief.", (Message("user", "Hello"),), "u")
    assert (found.params, found.extra, found.wants_usage) == ({"max_tokens": 5}, {"new": 1}, True)
    with pytest.raises(Fault):
        MESSAGES.ask({"model": "m"})


def test_an_answer_is_read_whole_with_cached_tokens_as_prompt() -> None:
    answer = Answer()
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ]
    usage = {"input_tokens": 3, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 5, "output_tokens": 6}
    payload = {"id": "msg", "content": blocks, "stop_reason": "stop_sequence", "stop_sequence": "x", "usage": usage}
    MESSAGES.read(json.dumps(payload).encode(), MESSAGES.ask({"messages": []}), answer)
    choice = answer.choices[0]
    assert (choice.reasoning, choice.text, choice.finish) == (["Hm."], ["Hello"], "stop_sequence")
    assert choice.calls == [ToolCall("t", "f", '{"a":1}')]
    assert (answer.prompt_tokens, answer.completion_tokens, answer.output) == (12, 6, {"stop_sequence": "x"})


def test_a_stream_is_put_together_and_ends_with_its_reason() -> None:
    start = {"id": "msg", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 1}}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    answer, ends = heard(
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hel"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "lo"}},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": call},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    )
    assert ends == [False] * 10 + [True, True]
    choice = answer.choices[0]
    assert ("".join(choice.text), "".join(choice.reasoning), choice.finish) == ("Hello", "Hm.", "tool_use")
    assert choice.calls == [ToolCall("t", "f", '{"a":1}')]
    assert (answer.id, answer.prompt_tokens, answer.completion_tokens, answer.over) == ("msg", 3, 9, True)


def test_errors_and_strange_events_are_noticed() -> None:
    answer, _ = heard({"type": "error", "error": {"message": "overloaded"}}, {"type": "new"}, b"[]", b"")
    assert answer.error == {"message": "overloaded"}
    assert answer.unread == 2
    with pytest.raises(msgspec.DecodeError):
        heard(b"{")


def test_withholding_takes_thinking_and_keeps_the_count_of_blocks_in_a_stream() -> None:
    whole = {"content": [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "a"}]}
    assert MESSAGES.withhold(whole)
    assert whole == {"content": [{"type": "text", "text": "a"}]}
    start: dict[str, Any] = {"content_block": {"type": "redacted_thinking", "data": "blob"}}
    assert MESSAGES.withhold(start)
    assert start["content_block"] == {"type": "redacted_thinking", "data": ""}
    assert not MESSAGES.withhold({"delta": {"type": "thinking_delta", "thinking": "x"}})
    assert not MESSAGES.withhold({"delta": {"type": "signature_delta", "signature": "x"}})
    assert MESSAGES.withhold({"delta": {"type": "text_delta", "text": "x"}})
