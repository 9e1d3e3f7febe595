from __future__ import annotations

import json
from typing import Any

import pytest

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire.responses import Responses
from spiritsafe.gateway.wire.types import Answer, ToolCall
from spiritsafe.record.exchange import Message

RESPONSES = Responses()


def heard(*events: dict[str, Any] | bytes) -> tuple[Answer, list[bool]]:
    answer, ask = Answer(), RESPONSES.ask({"input": "Hello"})
    raw = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return answer, [RESPONSES.hear(event, ask, answer) for event in raw]


def test_a_request_of_text_or_items_is_read() -> None:
    plain = RESPONSES.ask({"model": "m", "input": "Hello", "instructions": "Be brief.", "temperature": 1, "new": 2})
    assert (plain.messages, plain.system) == ((Message("user", "Hello"),), "Be brief.")
    assert (plain.params, plain.extra) == ({"temperature": 1}, {"new": 2})
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"role": "assistant", "content": "Yes?"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "4"},
    ]
    found = RESPONSES.ask({"input": items}).messages
    assert [m.role for m in found] == ["user", "assistant", "assistant", "tool"]
    assert found[0].extra == {}
    assert found[3] == Message("tool", "4", {"type": "function_call_output", "call_id": "c"})


def test_a_request_may_go_on_from_an_earlier_one_without_input() -> None:
    assert RESPONSES.ask({"previous_response_id": "resp_1"}).messages == ()


@pytest.mark.parametrize("body", [{}, {"input": 3}, {"input": [3]}, {"input": [{}]}])
def test_a_request_without_input_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Fault):
        RESPONSES.ask(body)


OUTPUT = [
    {"type": "reasoning", "summary": [{"text": "Hm."}], "content": [{"text": "So."}]},
    {"type": "message", "content": [{"type": "output_text", "text": "Hello"}, {"type": "refusal", "refusal": "!"}]},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "custom_tool_call", "call_id": "d", "name": "sh", "input": "ls"},
]
USAGE = {"input_tokens": 3, "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 1}}
DONE = {"id": "resp", "model": "m", "status": "completed", "output": OUTPUT, "usage": USAGE}


def check(answer: Answer) -> None:
    choice = answer.choices[0]
    assert ("".join(choice.text), "".join(choice.reasoning), choice.finish) == ("Hello!", "Hm.So.", "completed")
    assert choice.calls == [ToolCall("c", "f", "{}"), ToolCall("d", "sh", "ls", "custom")]
    assert (answer.prompt_tokens, answer.completion_tokens, answer.reasoning_tokens) == (3, 4, 1)


def test_an_answer_is_read_whole() -> None:
    answer = Answer()
    RESPONSES.read(json.dumps(DONE).encode(), RESPONSES.ask({"input": "a"}), answer)
    check(answer)


def test_the_last_event_of_a_stream_holds_the_whole() -> None:
    answer, ends = heard(
        {"type": "response.created", "response": {"id": "resp", "model": "m"}},
        {"type": "response.output_text.delta", "delta": "Hel"},
        {"type": "response.output_text.delta", "delta": "lo"},
        {"type": "response.completed", "response": DONE},
    )
    assert ends == [False, False, False, True]
    assert answer.over
    check(answer)


def test_of_a_stream_that_breaks_off_the_pieces_count() -> None:
    answer, _ = heard(
        {"type": "response.reasoning_summary_text.delta", "delta": "Hm."},
        {"type": "response.output_text.delta", "delta": "Hel"},
        {"type": "response.output_item.done", "item": OUTPUT[2]},
        {"type": "response.output_item.done", "item": OUTPUT[1]},
        {"type": "error", "message": "gone"},
        b"[]",
    )
    choice = answer.choices[0]
    assert (choice.text, choice.reasoning, choice.calls) == (["Hel"], ["Hm."], [ToolCall("c", "f", "{}")])
    assert (answer.error, answer.unread) == ({"type": "error", "message": "gone"}, 1)


def test_withholding_empties_reasoning_and_logprobs_wherever_they_are() -> None:
    part = {"type": "output_text", "text": "a", "logprobs": [1]}
    reasoning = {"type": "reasoning", "summary": [{"text": "x"}], "content": [{}], "encrypted_content": "blob"}
    whole: dict[str, Any] = {"output": [dict(reasoning), {"type": "message", "content": [dict(part)]}]}
    assert RESPONSES.withhold(whole)
    assert whole["output"][0] == {"type": "reasoning", "summary": []}
    assert whole["output"][1]["content"][0]["logprobs"] == []
    events: list[dict[str, Any]] = [
        {"type": "response.reasoning_text.delta", "delta": "x"},
        {"type": "response.reasoning_summary_part.done", "part": {"text": "x"}},
        {"type": "response.output_text.delta", "delta": "a", "logprobs": [1]},
        {"type": "response.output_item.done", "item": dict(reasoning)},
        {"type": "response.completed", "response": {"output": [dict(reasoning)]}},
    ]
    assert all(RESPONSES.withhold(event) for event in events)
    assert (events[0]["delta"], events[1]["part"]["text"], events[2]["logprobs"]) == ("", "", [])
    assert events[2]["delta"] == "a"
    assert events[3]["item"] == events[4]["response"]["output"][0] == {"type": "reasoning", "summary": []}
