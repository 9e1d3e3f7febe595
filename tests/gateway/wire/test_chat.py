from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire.chat import Chat
from spiritsafe.gateway.wire.types import Answer, ToolCall
from spiritsafe.record.exchange import Message

CHAT = Chat()
USER = {"role": "user", "content": "How is whisky made?"}


def ask(**fields: Any) -> Any:
    return CHAT.ask({"model": "m", "messages": [USER], **fields})


def heard(*events: dict[str, Any] | bytes, **fields: Any) -> tuple[Answer, list[bool]]:
    answer, wanted = Answer(), ask(**fields)
    raw = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return answer, [CHAT.hear(event, wanted, answer) for event in raw]


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"id": "c", "model": "m-1", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def test_a_request_is_read_with_its_settings_and_what_is_unknown() -> None:
    found = ask(temperature=0.5, n=2, user="ada", weird={"a": 1}, metadata={"k": "v"}, store=True, prompt_cache_key="k")
    assert (found.model, found.stream, found.choices, found.user) == ("m", False, 2, "ada")
    assert found.messages == (Message("user", "How is whisky made?"),)
    assert found.params == {"temperature": 0.5, "n": 2}
    assert found.extra == {"weird": {"a": 1}}
    assert (found.store, found.metadata) == (True, {"k": "v"})


@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_system_prompt_stands_apart(role: str) -> None:
    found = CHAT.ask({"messages": [{"role": role, "content": "Be brief."}, USER]})
    assert found.system == "Be brief."
    assert [m.role for m in found.messages] == (["user"] if role == "system" else ["developer", "user"])


def test_a_system_prompt_of_parts_is_kept_as_it_came() -> None:
    parts = [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]
    found = CHAT.ask({"messages": [{"role": "system", "content": parts}, USER]})
    assert found.system == "Be\nbrief."
    assert found.messages[0] == Message("system", parts)


@pytest.mark.parametrize("body", [{}, {"messages": "hi"}, {"messages": [1]}, {"messages": [], "model": 3}])
def test_a_request_without_messages_or_with_a_wrong_model_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Fault) as caught:
        CHAT.ask(body)
    assert caught.value.status == 400


def test_an_answer_is_read_whole() -> None:
    answer = Answer()
    call = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"content": "Slowly.", "reasoning_content": "Hm.", "tool_calls": [call]}
    details = {"reasoning_tokens": 2}
    usage = {"prompt_tokens": 5, "completion_tokens": 4, "completion_tokens_details": details}
    payload = {"id": "c", "model": "m-1", "usage": usage}
    payload["choices"] = [{"index": 0, "message": message, "finish_reason": "tool_calls"}, {"index": 1, "message": {}}]
    CHAT.read(json.dumps(payload).encode(), ask(), answer)
    first = answer.choices[0]
    assert (first.text, first.reasoning, first.finish) == (["Slowly."], ["Hm."], "tool_calls")
    assert first.calls == [ToolCall("t1", "f", "{}")]
    assert (answer.prompt_tokens, answer.completion_tokens, answer.reasoning_tokens) == (5, 4, 2)
    assert set(answer.choices) == {0, 1}


def test_a_stream_is_put_together_and_its_end_begins_with_the_last_reason() -> None:
    usage = {"id": "c", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 4}}
    answer, ends = heard(
        chunk({"role": "assistant", "content": "Slow"}),
        chunk({"content": "ly.", "reasoning_content": "Hm."}),
        chunk({}, "stop"),
        usage,
        b"[DONE]",
    )
    assert ends == [False, False, True, True, True]
    assert "".join(answer.choices[0].text) == "Slowly."
    assert (answer.choices[0].reasoning, answer.choices[0].finish) == (["Hm."], "stop")
    assert (answer.id, answer.model, answer.prompt_tokens, answer.over) == ("c", "m-1", 5, True)


def test_only_an_event_with_nothing_but_counts_is_bare_usage() -> None:
    answer, _ = heard({"choices": [], "usage": {"prompt_tokens": 1}})
    assert answer.bare_usage
    answer, _ = heard({**chunk({"content": "a"}), "usage": {"prompt_tokens": 1}})
    assert not answer.bare_usage


def test_with_several_choices_the_end_waits_for_all_of_them() -> None:
    answer, ends = heard(chunk({"content": "a"}, index=1), chunk({}, "stop", 1), chunk({}, "length", 0), n=2)
    assert ends == [False, False, True]
    assert answer.choices[1].text == ["a"]


def test_tool_calls_come_in_pieces() -> None:
    first = {"index": 0, "id": "t1", "type": "function", "function": {"name": "look", "arguments": ""}}
    answer, _ = heard(
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "t2", "function": {"name": "b", "arguments": "{}"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
    )
    assert answer.choices[0].calls == [ToolCall("t1", "look", '{"a":1}'), ToolCall("t2", "b", "{}")]


def test_the_older_function_call_and_custom_tools_are_heard_too() -> None:
    answer, _ = heard(
        chunk({"function_call": {"name": "f", "arguments": "{"}}), chunk({"function_call": {"arguments": "}"}})
    )
    assert answer.choices[0].calls == [ToolCall("", "f", "{}")]
    custom = {"index": 0, "id": "t", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    answer, _ = heard(chunk({"tool_calls": [custom]}))
    assert answer.choices[0].calls == [ToolCall("t", "sh", "ls", "custom")]


def test_an_error_in_a_stream_is_noticed() -> None:
    answer, _ = heard({"error": {"message": "out of memory"}})
    assert answer.error == {"message": "out of memory"}


def test_json_of_another_form_counts_as_unread_and_no_json_is_an_error() -> None:
    answer, ends = heard({"choices": "none"}, {"choices": [1]})
    assert (answer.unread, ends) == (2, [False, False])
    with pytest.raises(msgspec.DecodeError):
        heard(b"<html>")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["choices", "delta", "index", "tool_calls", "message", "usage", "function"]), inner
            )
        ),
        max_leaves=10,
    )
)
def test_no_answer_breaks_the_reading(value: Any) -> None:
    payload = value if isinstance(value, dict) else {"choices": value}
    CHAT.read(json.dumps(payload).encode(), ask(), Answer())
    heard(json.dumps(payload).encode())
    CHAT.withhold(payload)


def test_withholding_takes_logprobs_and_reasoning_and_leaves_the_rest() -> None:
    said = {"role": "assistant", "content": "a", "reasoning_content": "b", "reasoning": "c", "reasoning_details": []}
    payload = {"choices": [{"message": said, "logprobs": {"content": [1]}}, {"delta": {"reasoning": "x"}}]}
    assert CHAT.withhold(payload)
    assert payload == {"choices": [{"message": {"role": "assistant", "content": "a"}, "logprobs": None}, {"delta": {}}]}
