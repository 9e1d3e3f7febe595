from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.gateway.wire import sse

ENDS = ("\n", "\r\n", "\r")
line = st.text(st.characters(blacklist_characters="\r\n", codec="utf-8"), max_size=12).map(lambda text: f"x{text}")
lines = st.lists(line, min_size=1, max_size=3)


def feed(pieces: list[bytes]) -> list[tuple[bytes, bytes]]:
    splitter = sse.Splitter()
    return [event for piece in pieces for event in splitter.feed(piece)]


def test_one_event_in_one_chunk_is_given_as_the_chunk_itself() -> None:
    chunk = b'data: {"a":1}\n\n'
    assert feed([chunk]) == [(chunk, b'{"a":1}')]


def test_an_event_that_has_not_ended_is_kept_until_it_has() -> None:
    splitter = sse.Splitter()
    assert splitter.feed(b"data: a\n\ndata: b") == [(b"data: a\n\n", b"a")]
    assert splitter.feed(b"c\n") == []
    assert splitter.feed(b"\ndata: d\n\n") == [(b"data: bc\n\n", b"bc"), (b"data: d\n\n", b"d")]


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b": a comment\n\n", b""),
        (b"event: x\ndata: 1\n\n", b"1"),
        (b"data:1\ndata: 2\n\n", b"1\n2"),
        (b"id: 7\ndata: 1\nretry: 5\n\n", b"1"),
        (b"event: ping\r\ndata: {}\r\n\r\n", b"{}"),
        (b"\n\n", b""),
    ],
)
def test_the_data_of_an_event_is_its_data_lines(raw: bytes, data: bytes) -> None:
    assert feed([raw]) == [(raw, data)]


@given(st.lists(lines, max_size=5), st.sampled_from(ENDS), st.data())
def test_cuts_anywhere_lose_nothing_and_find_the_same_events(
    events: list[list[str]], end: str, draw: st.DataObject
) -> None:
    raws = ["".join(f"data: {line}{end}" for line in event) + end for event in events]
    stream = "".join(raws).encode()
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found = feed(pieces)
    assert b"".join(raw for raw, _ in found) == stream
    assert [data for _, data in found if data] == ["\n".join(event).encode() for event in events]


def test_an_event_without_end_is_refused_before_it_fills_the_memory() -> None:
    splitter = sse.Splitter(limit=10)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        splitter.feed(b"data: 12345678")


def test_an_event_is_written_with_and_without_a_name() -> None:
    assert sse.event(b"{}") == b"data: {}\n\n"
    assert sse.event(b"{}", "ping") == b"event: ping\ndata: {}\n\n"
