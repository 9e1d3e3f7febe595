from __future__ import annotations

import json
from typing import Any

import pytest

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire.messages_as_chat import MessagesAsChat


def chat(**fields: Any) -> dict[str, Any]:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}], **fields}
    return MessagesAsChat(body, "1").request()


def events(raw: bytes) -> list[dict[str, Any]]:
    found = []
    for event in raw.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        payload = json.loads(data.removeprefix("data: "))
        assert name == f"event: {payload['type']}"
        found.append(payload)
    return found


def stream(*chunks: dict[str, Any] | str) -> list[dict[str, Any]]:
    translation = MessagesAsChat({"model": "m", "messages": []}, "1").stream()
    raw = b"".join(translation.event(c.encode() if isinstance(c, str) else json.dumps(c).encode()) for c in chunks)
    return events(raw + translation.close())


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def test_settings_take_their_chat_names_and_unknown_ones_stay() -> None:
    found = chat(stop_sequences=["x"], temperature=0.1, top_k=4, system="Be brief.", metadata={"user_id": "u"}, new=1)
    assert found["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (found["max_tokens"], found["stop"], found["temperature"], found["user"]) == (9, ["x"], 0.1, "u")
    assert (found["top_k"], found["new"]) == (4, 1)
    assert not {"system", "stop_sequences", "metadata", "stream"} & set(found)
    assert chat(stream=True)["stream_options"] == {"include_usage": True}


def test_blocks_become_parts_calls_and_results() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "See"}, image]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "x", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t", "name": "look", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "4"}]},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    call = {"id": "t", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}
    seen = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]
    assert chat(messages=turns)["messages"] == [
        {"role": "user", "content": seen},
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t", "content": "4"},
        {"role": "user", "content": "And now?"},
    ]


def test_tools_and_the_choice_among_them_are_translated() -> None:
    tool = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
    found = chat(tools=[tool], tool_choice={"type": "any", "disable_parallel_tool_use": True})
    function = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
    assert found["tools"] == [{"type": "function", "function": function}]
    assert (found["tool_choice"], found["parallel_tool_calls"]) == ("required", False)
    named = chat(tools=[tool], tool_choice={"type": "tool", "name": "look"})["tool_choice"]
    assert named == {"type": "function", "function": {"name": "look"}}


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"name": "f"}], "tool_choice": {"type": "new"}},
        {"messages": [{"role": "user", "content": [{"type": "document"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]},
    ],
)
def test_what_chat_can_not_express_is_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(Fault, match="can't take") as caught:
        chat(**fields)
    assert caught.value.reason == "unsupported"


def test_a_whole_answer_becomes_a_message_of_blocks() -> None:
    call = {"id": "t", "function": {"name": "look", "arguments": '{"a": 1}'}}
    bad = {"id": "u", "function": {"name": "look", "arguments": "not json"}}
    message = {"content": "I look.", "reasoning_content": "Hm.", "tool_calls": [call, bad]}
    payload = {"model": "m-1", "choices": [{"message": message, "finish_reason": "tool_calls"}]}
    payload["usage"] = {"prompt_tokens": 3, "completion_tokens": 4}  # type: ignore[assignment]
    found = MessagesAsChat({"model": "m"}, "1").whole(payload)
    assert (found["id"], found["type"], found["role"], found["model"]) == ("msg_1", "message", "assistant", "m-1")
    assert [block["type"] for block in found["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert found["content"][2]["input"] == {"a": 1}
    assert found["content"][3]["input"] == {"arguments": "not json"}
    assert (found["stop_reason"], found["usage"]) == ("tool_use", {"input_tokens": 3, "output_tokens": 4})


@pytest.mark.parametrize(("finish", "stop"), [("stop", "end_turn"), ("length", "max_tokens"), (None, "end_turn")])
def test_reasons_to_stop_are_translated(finish: str | None, stop: str) -> None:
    payload = {"choices": [{"message": {"content": "a"}, "finish_reason": finish}]}
    assert MessagesAsChat({}, "1").whole(payload)["stop_reason"] == stop


def test_a_stream_opens_and_closes_its_blocks_one_after_the_other() -> None:
    first = {"index": 0, "id": "t", "function": {"name": "look", "arguments": ""}}
    found = stream(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "Hm."}),
        chunk({"content": "I "}),
        chunk({"content": "look."}),
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "u", "function": {"name": "look", "arguments": "{}"}}]}),
        chunk({}, "tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
        "[DONE]",
    )
    kinds = [e["type"] for e in found]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    text = ["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]
    assert kinds == ["message_start", *block, *text, *block, *block, "message_delta", "message_stop"]
    starts = [e for e in found if e["type"] == "content_block_start"]
    assert [e["index"] for e in starts] == [0, 1, 2, 3]
    assert [e["content_block"]["type"] for e in starts] == ["thinking", "text", "tool_use", "tool_use"]
    assert found[-2]["delta"]["stop_reason"] == "tool_use"
    assert found[-2]["usage"] == {"input_tokens": 3, "output_tokens": 4}


def test_a_stream_in_which_nothing_was_said_is_still_a_message() -> None:
    assert [e["type"] for e in stream("[DONE]")] == ["message_start", "message_delta", "message_stop"]
