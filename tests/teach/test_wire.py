from __future__ import annotations

from typing import Any

import msgspec
import pytest

from spiritsafe.teach import wire
from spiritsafe.teach.types import Answer, Candidate, Delta, Sampling, Token, ToolCall

HALF = Token(1, "\ufffd", b"\xf0\x9f", -0.5, (Candidate(1, "\ufffd", b"\xf0\x9f", -0.5), Candidate(2, "b", b"b", -1.0)))
WHOLE = Token(3, "é", "é".encode(), -0.25, ())


def chat(**fields: Any) -> wire.ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}
    return msgspec.json.decode(msgspec.json.encode(body), type=wire.ChatRequest)


def text(**fields: Any) -> wire.CompletionRequest:
    return msgspec.json.decode(
        msgspec.json.encode({"model": "m", "prompt": "x", **fields}), type=wire.CompletionRequest
    )


def test_defaults_are_those_of_openai() -> None:
    assert chat().sampling() == Sampling(temperature=1, top_p=1, max_tokens=None, n=1)
    assert text().sampling() == Sampling(temperature=1, top_p=1, max_tokens=16, n=1)
    assert not chat().include_usage


def test_every_field_reaches_the_sampling() -> None:
    fields = {"temperature": 0, "top_p": 0.5, "n": 2, "stop": ["a", "b"], "seed": -7}
    expected = Sampling(temperature=0, top_p=0.5, n=2, stop=("a", "b"), seed=-7, max_tokens=9)
    assert chat(max_tokens=9, **fields).sampling() == expected
    assert chat(max_completion_tokens=9, max_tokens=5, **fields).sampling() == expected
    assert text(max_tokens=9, **fields).sampling() == expected
    assert chat(stop="a").sampling().stop == ("a",)
    assert chat(stream_options={"include_usage": True}).include_usage


@pytest.mark.parametrize(
    ("fields", "logprobs"),
    [
        ({}, None),
        ({"logprobs": False}, None),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 3}, 3),
        ({"top_logprobs": 3}, None),
    ],
)
def test_logprobs_of_chats(fields, logprobs) -> None:
    assert chat(**fields).sampling().logprobs == logprobs


def test_logprobs_of_completions() -> None:
    assert [text(**fields).sampling().logprobs for fields in ({}, {"logprobs": 0}, {"logprobs": 5})] == [None, 0, 5]


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 2.1},
        {"temperature": "hot"},
        {"top_p": 0},
        {"n": 0},
        {"max_tokens": 0},
        {"top_logprobs": 21},
        {"stop": 5},
        {"messages": []},
        {"messages": "x"},
        {"frequency_penalty": 0.5},
        {"presence_penalty": -1},
        {"logit_bias": {"5": 1}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(fields) -> None:
    with pytest.raises(msgspec.ValidationError):
        chat(**fields)


def test_what_has_no_effect_and_what_is_not_known_is_let_through() -> None:
    assert chat(frequency_penalty=0, presence_penalty=None, logit_bias={}, user="u", metadata={"a": "b"})


def test_a_prompt_may_be_several() -> None:
    assert text(prompt="a").prompts() == ["a"]
    assert text(prompt=["a", "b"]).prompts() == ["a", "b"]


def test_usage_counts_a_prompt_once() -> None:
    usage = wire.Usage()
    usage.add(0, Delta(choice=0, prompt_tokens=5, completion_tokens=1))
    usage.add(0, Delta(choice=0, prompt_tokens=5, completion_tokens=2))
    usage.add(0, Answer(choice=1, text="", finish="stop", prompt_tokens=5, completion_tokens=3))
    usage.add(1, Delta(choice=0, prompt_tokens=7, completion_tokens=4))
    usage.add(2, Delta(choice=0))
    assert usage.wire() == {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21}


def test_a_chat_answer() -> None:
    choice = wire.chat_choice(Answer(choice=1, text="hi", tokens=(WHOLE,), finish="stop"), logprobs=True)
    assert choice["index"] == 1
    assert choice["message"] == {"role": "assistant", "content": "hi", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert choice["logprobs"]["content"] == [{"token": "é", "logprob": -0.25, "bytes": [195, 169], "top_logprobs": []}]
    assert wire.chat_choice(Answer(choice=0, text="", finish="stop"), logprobs=False)["message"]["content"] == ""


def test_a_tool_call_has_no_content() -> None:
    call = ToolCall("call_1", "f", "{}")
    message = wire.chat_choice(Answer(choice=0, text="", tool_calls=(call,), finish="tool_calls"), logprobs=False)[
        "message"
    ]
    assert message["content"] is None
    assert message["tool_calls"] == [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


def test_streamed_calls_are_numbered_on() -> None:
    delta = wire.chat_delta(Delta(choice=0, tool_calls=(ToolCall("i", "f", "{}"),)), logprobs=False, first_call=2)
    assert delta["delta"]["tool_calls"][0]["index"] == 2
    assert "content" not in delta["delta"]
    assert delta["finish_reason"] is None


def test_half_characters_are_spelled_out_in_completions() -> None:
    logprobs = wire.text_choice(Delta(choice=0, text="é", tokens=(HALF, WHOLE)), 3, wire.Offsets())["logprobs"]
    assert logprobs == {
        "tokens": ["bytes:\\xf0\\x9f", "é"],
        "token_logprobs": [-0.5, -0.25],
        "top_logprobs": [{"bytes:\\xf0\\x9f": -0.5, "b": -1.0}, {}],
        "text_offset": [0, 0],
    }


def test_a_cancelled_answer_is_a_cut_one() -> None:
    assert wire.text_choice(Answer(choice=0, text="", finish="cancelled"), 0, None)["finish_reason"] == "length"


def test_embeddings_take_one_text_or_several() -> None:
    for given, expected in (("a", ["a"]), (["a", "b"], ["a", "b"])):
        body = msgspec.json.encode({"model": "m", "input": given})
        assert msgspec.json.decode(body, type=wire.EmbeddingsRequest).texts() == expected


def test_offsets_are_where_tokens_begin_in_the_text() -> None:
    tokens = tuple(Token(None, "", data, 0.0) for data in (b"a", b"\xc3", b"\xa9b", b"c"))
    offsets = wire.Offsets()
    assert offsets.take(tokens[:2]) + offsets.take(tokens[2:]) == wire.Offsets().take(tokens) == [0, 1, 1, 3]


def test_reasoning_is_passed_on_beside_the_answer() -> None:
    whole = wire.chat_choice(Answer(choice=0, text="4", reasoning="2 + 2", finish="stop"), logprobs=False)
    assert (whole["message"]["content"], whole["message"]["reasoning_content"]) == ("4", "2 + 2")
    shown = wire.chat_delta(Delta(choice=0, reasoning="2"), logprobs=False, first_call=0)["delta"]
    assert shown == {"reasoning_content": "2"}
