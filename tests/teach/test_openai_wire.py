from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.teach import wire
from spiritsafe.teach.openai_wire import StreamReader, request_body, whole_deltas
from spiritsafe.teach.types import Answer, Candidate, Chat, Delta, Raw, Sampling, Token, ToolCall

TOKENS = st.builds(
    lambda data, logprob, others: Token(
        None,
        data.decode("utf-8", "replace"),
        data,
        logprob,
        tuple(Candidate(None, other.decode("utf-8", "replace"), other, -1.0) for other in others),
    ),
    st.binary(min_size=1, max_size=4),
    st.floats(-50, 0),
    st.lists(st.binary(min_size=1, max_size=4), max_size=3, unique=True),
)
ANSWERS = st.builds(
    lambda text, reasoning, tokens, finish: Answer(
        choice=0,
        text=text,
        reasoning=reasoning or None,
        tokens=tuple(tokens),
        finish=finish,
        prompt_tokens=5,
        completion_tokens=9,
    ),
    st.text(max_size=9),
    st.text(max_size=9),
    st.lists(TOKENS, max_size=3),
    st.sampled_from(["stop", "length"]),
)


def as_delta(answer: Answer) -> Delta:
    return Delta(
        choice=0,
        text=answer.text,
        reasoning=answer.reasoning or "",
        tokens=answer.tokens,
        tool_calls=answer.tool_calls,
        finish=answer.finish,
        prompt_tokens=5,
        completion_tokens=9,
    )


USAGE = {"prompt_tokens": 5, "completion_tokens": 9}


@given(ANSWERS)
def test_what_our_server_writes_is_read_back_as_it_was(answer) -> None:
    body = {"choices": [wire.chat_choice(answer, logprobs=True)], "usage": USAGE}
    assert list(whole_deltas(body)) == [as_delta(answer)]


@given(ANSWERS)
def test_completions_too(answer) -> None:
    body = {"choices": [wire.text_choice(answer, 0, wire.Offsets())], "usage": USAGE}
    assert list(whole_deltas(body)) == [msgspec.structs.replace(as_delta(answer), reasoning="")]


def test_what_is_asked_is_what_our_server_understands() -> None:
    chat = Chat(({"role": "user", "content": "x"},), ({"type": "function"},), "auto", {"type": "json_object"})
    sampling = Sampling(temperature=0.5, top_p=0.9, max_tokens=3, n=2, stop=("a",), seed=4, logprobs=2)
    assert request_body("m", chat, sampling, limit="max_completion_tokens") == {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "n": 2,
        "stop": ["a"],
        "seed": 4,
        "max_completion_tokens": 3,
        "logprobs": True,
        "top_logprobs": 2,
        "tools": [{"type": "function"}],
        "tool_choice": "auto",
        "response_format": {"type": "json_object"},
    }


def test_what_was_not_said_is_not_sent() -> None:
    least = {"model": "m", "temperature": 1.0, "top_p": 1.0, "n": 1}
    assert request_body("m", "x", Sampling(), limit="l") == {**least, "messages": [{"role": "user", "content": "x"}]}
    assert request_body("m", Raw("x"), Sampling(), limit="l") == {**least, "prompt": "x"}
    asked = request_body("m", Raw("x"), Sampling(max_tokens=2, logprobs=0), limit="l")
    assert asked == {**least, "prompt": "x", "max_tokens": 2, "logprobs": 0}


def test_chunks_are_put_together_and_the_last_delta_waits_for_the_counts() -> None:
    reader = StreamReader(1)
    chunks = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"index": 0, "delta": {"content": "a"}}]},
        {
            "choices": [
                {
                    "index": 0,
                    "delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]},
                }
            ]
        },
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    ]
    deltas = [delta for chunk in chunks for delta in reader.read(chunk)]
    assert deltas == [Delta(choice=0, text="a")]
    assert reader.complete
    assert list(reader.read({"choices": [], "usage": USAGE})) == []
    assert list(reader.finish()) == [
        Delta(
            choice=0, tool_calls=(ToolCall("c", "f", "{}"),), finish="tool_calls", prompt_tokens=5, completion_tokens=9
        )
    ]


def test_with_several_choices_tokens_are_counted_by_their_logprobs() -> None:
    reader, priced = StreamReader(2), {"content": [{"token": "a", "logprob": -1.0, "bytes": [97]}]}
    for _ in range(3):
        list(reader.read({"choices": [{"index": 1, "delta": {"content": "a"}, "logprobs": priced}]}))
    list(
        reader.read({"choices": [{"index": at, "delta": {}, "finish_reason": "stop"} for at in (1, 0)], "usage": USAGE})
    )
    assert [(each.choice, each.completion_tokens) for each in reader.finish()] == [(0, None), (1, 3)]


def test_streamed_reasoning_comes_apart_from_the_text() -> None:
    reader = StreamReader(1)
    chunks = [
        {"choices": [{"index": 0, "delta": {name: "hm"}}]} for name in ("reasoning_content", "reasoning", "content")
    ]
    deltas = [delta for chunk in chunks for delta in reader.read(chunk)]
    assert [(delta.reasoning, delta.text) for delta in deltas] == [("hm", ""), ("hm", ""), ("", "hm")]


def test_an_unknown_reason_is_an_end_like_any_other() -> None:
    (delta,) = whole_deltas({"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "eos_token"}]})
    assert delta.finish == "stop"


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [{"index": 1, "delta": {}}]},
        {"choices": [{"delta": {}}]},
        {"choices": 5},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{}]}}]},
    ],
    ids=str,
)
def test_a_chunk_of_another_shape_is_a_value_error(chunk) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(StreamReader(1).read(chunk))
