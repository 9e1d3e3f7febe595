from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.gateway.tap import Tap
from spiritsafe.gateway.wire import CHAT
from spiritsafe.gateway.wire.messages import Messages
from spiritsafe.gateway.wire.messages_as_chat import MessagesAsChat
from spiritsafe.gateway.wire.types import Answer

ASK = CHAT.ask({"model": "m", "messages": []})


def event(payload: dict[str, Any] | str) -> bytes:
    return f"data: {payload if isinstance(payload, str) else json.dumps(payload)}\n\n".encode()


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


WORDS = [chunk({"content": "Slow"}), b": keep alive\n\n", chunk({"content": "ly."})]
USAGE = event({"choices": [], "usage": {"prompt_tokens": 3}})
END = [chunk({}, "stop"), USAGE, event("[DONE]")]


def tap(**options: Any) -> Tap:
    return Tap(CHAT, ASK, Answer(), **options)


def test_every_event_leaves_in_the_chunk_that_completed_it_and_the_end_is_held() -> None:
    made = tap()
    assert [made.feed(piece) for piece in WORDS] == WORDS
    assert [made.feed(piece) for piece in END] == [b"", b"", b""]
    assert made.ended
    assert made.ending() == b"".join(END)


@given(st.data())
def test_however_the_stream_is_cut_the_same_bytes_leave_and_the_same_end_is_held(data: st.DataObject) -> None:
    stream = b"".join(WORDS + END)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    made = tap()
    out = b"".join(made.feed(stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True))
    assert out == b"".join(WORDS)
    assert made.ending() == b"".join(END)


def test_counts_that_the_client_did_not_ask_for_are_dropped() -> None:
    made = tap(drop_usage=True)
    made.feed(b"".join(END))
    assert made.ending() == END[0] + END[2]


def test_withholding_rewrites_events_and_leaves_comments() -> None:
    made = tap(withhold=True)
    said = {
        "choices": [{"index": 0, "delta": {"content": "a", "reasoning": "b"}, "logprobs": {}, "finish_reason": None}]
    }
    out = made.feed(event(said) + b": keep alive\n\n" + event("7"))
    first, comment, number = out.split(b"\n\n")[:3]
    assert json.loads(first.removeprefix(b"data: "))["choices"][0] == {
        "index": 0,
        "delta": {"content": "a"},
        "logprobs": None,
        "finish_reason": None,
    }
    assert (comment, number) == (b": keep alive", b"data: 7")


def test_withholding_drops_events_of_nothing_else_and_keeps_their_names() -> None:
    made = Tap(Messages(), ASK, Answer(), withhold=True)
    thought = {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "x"}}
    said = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}
    raw = [f"event: content_block_delta\ndata: {json.dumps(payload)}\n\n".encode() for payload in (thought, said)]
    assert made.feed(raw[0]) == b""
    assert made.feed(raw[1]).startswith(b"event: content_block_delta\ndata: {")


@pytest.mark.parametrize("withhold", [False, True])
def test_a_translated_stream_leaves_in_the_other_api_and_closes_after_the_record(withhold: bool) -> None:
    made = tap(into=MessagesAsChat({"model": "m"}, "1").stream(), withhold=withhold)
    out = made.feed(chunk({"content": "a", "reasoning": "why"}))
    assert b"text_delta" in out
    assert (b"thinking" in out) is not withhold
    assert made.feed(b": keep alive\n\n" + b"".join(END)) == b""
    assert b"message_stop" in made.ending()


def test_an_error_of_the_upstream_is_held_and_ends_nothing() -> None:
    answer = Answer()
    made = Tap(CHAT, ASK, answer)
    assert made.feed(event({"error": {"message": "out of memory"}})) == b""
    assert answer.error == {"message": "out of memory"}


@pytest.mark.parametrize(
    "junk",
    [b"data: <html>\n\n", b"data: {\n\n", b'data: {"id":"\xff"}\n\n', b'data: {"id":' + b"[" * 100_000 + b"\n\n"],
)
def test_what_is_no_json_is_nonsense(junk: bytes) -> None:
    made = tap()
    assert made.feed(WORDS[0] + junk) == WORDS[0]
    assert made.fault is not None
    assert made.fault.reason == "upstream_nonsense"


def test_an_event_without_end_is_nonsense() -> None:
    made = tap()
    for _ in range(15):
        assert made.feed(b"x" * (1 << 20)) == b""
    assert made.fault is None
    made.feed(b"x" * (2 << 20))
    assert "more than" in str(made.fault)
