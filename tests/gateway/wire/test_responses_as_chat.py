from __future__ import annotations

import json
from typing import Any

import pytest

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire.responses_as_chat import ResponsesAsChat


def chat(**fields: Any) -> dict[str, Any]:
    return ResponsesAsChat({"model": "m", "input": "Hello", **fields}, "1").request()


def stream(*chunks: dict[str, Any]) -> list[dict[str, Any]]:
    translation = ResponsesAsChat({"model": "m", "input": "Hello"}, "1").stream()
    raw = b"".join(translation.event(json.dumps(c).encode()) for c in chunks) + translation.close()
    found = []
    for event in raw.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        payload = json.loads(data.removeprefix("data: "))
        assert name == f"event: {payload['type']}"
        found.append(payload)
    assert [e["sequence_number"] for e in found] == list(range(len(found)))
    return found


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def test_settings_take_their_chat_names_and_unknown_ones_stay() -> None:
    found = chat(
        instructions="Be brief.", max_output_tokens=9, top_logprobs=2, reasoning={"effort": "low"}, stream=True, new=1
    )
    assert found["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert (found["max_tokens"], found["logprobs"], found["top_logprobs"]) == (9, True, 2)
    assert (found["reasoning_effort"], found["new"], found["stream_options"]) == ("low", 1, {"include_usage": True})
    assert not {"input", "instructions", "max_output_tokens", "reasoning"} & set(found)


def test_items_become_turns() -> None:
    image = {"type": "input_image", "image_url": "http://x/y.png"}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "See"}, image]},
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call", "call_id": "d", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "4"},
    ]
    function = {"name": "look", "arguments": "{}"}
    calls = [{"id": name, "type": "function", "function": function} for name in "cd"]
    seen = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "http://x/y.png"}}]
    assert chat(input=items)["messages"] == [
        {"role": "user", "content": seen},
        {"role": "assistant", "content": "I look."},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c", "content": "4"},
    ]


def test_functions_and_formats_are_translated() -> None:
    tool = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}
    found = chat(tools=[tool], tool_choice={"type": "function", "name": "look"})
    assert found["tools"][0]["function"] == {"name": "look", "parameters": {"type": "object"}, "strict": True}
    assert found["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    assert chat(text={"format": schema})["response_format"] == wanted
    assert chat(text={"format": {"type": "json_object"}})["response_format"] == {"type": "json_object"}
    assert "response_format" not in chat(text={"format": {"type": "text"}})


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_0"},
        {"background": True},
        {"tools": [{"type": "web_search"}]},
        {"tool_choice": {"type": "file_search"}},
        {"input": [{"type": "item_reference", "id": "x"}]},
        {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
    ],
)
def test_what_chat_can_not_express_is_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(Fault, match="can't take") as caught:
        chat(**fields)
    assert caught.value.reason == "unsupported"


def test_a_whole_answer_becomes_a_response_of_items() -> None:
    call = {"id": "c", "function": {"name": "look", "arguments": "{}"}}
    message = {"content": "I look.", "reasoning_content": "Hm.", "tool_calls": [call]}
    details = {"reasoning_tokens": 1}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "completion_tokens_details": details}
    payload = {"model": "m-1", "choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
    found = ResponsesAsChat({"model": "m", "temperature": 0.5}, "1").whole(payload)
    assert (found["id"], found["object"], found["status"], found["temperature"]) == (
        "resp_1",
        "response",
        "completed",
        0.5,
    )
    assert [item["type"] for item in found["output"]] == ["reasoning", "message", "function_call"]
    assert found["output"][1]["content"][0]["text"] == "I look."
    assert found["output"][2]["call_id"] == "c"
    assert (found["usage"]["total_tokens"], found["usage"]["output_tokens_details"]) == (7, details)


def test_an_answer_that_ran_into_its_limit_is_incomplete() -> None:
    payload = {"choices": [{"message": {"content": "a"}, "finish_reason": "length"}]}
    found = ResponsesAsChat({}, "1").whole(payload)
    assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert stream(chunk({"content": "a"}, "length"))[-1]["type"] == "response.incomplete"


def test_a_stream_adds_fills_and_closes_its_items() -> None:
    first = {"index": 0, "id": "c", "function": {"name": "look", "arguments": ""}}
    found = stream(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "Hm."}),
        chunk({"content": "I "}),
        chunk({"content": "look."}),
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}),
        chunk({}, "tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
    )
    assert [e["type"].removeprefix("response.") for e in found] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    whole = found[-1]["response"]
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message", "function_call"]
    assert whole["output"][1]["content"][0]["text"] == "I look."
    assert whole["output"][2]["arguments"] == '{"a":1}'
    assert (whole["model"], whole["usage"]["input_tokens"]) == ("m-1", 3)


def test_a_stream_in_which_nothing_was_said_is_still_a_response() -> None:
    assert [e["type"] for e in stream()] == ["response.created", "response.in_progress", "response.completed"]
