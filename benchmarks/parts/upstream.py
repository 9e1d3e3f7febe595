"""A fast fake upstream: a raw asyncio server with one canned completion and one canned stream, in its own process.

Run as ``python -m parts.upstream`` from ``benchmarks/``; prints ``{"port": N}`` when it listens.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

import uvloop

CHUNKS = 64
GAP = 0.002
"""Seconds between two chunks of a stream: apart enough that no proxy can merge them."""

_WORDS = "the still runs slowly and what comes over first is thrown away because it carries what no one should drink "
_TEXT = (_WORDS * 20)[:1000]


def _completion() -> bytes:
    message = {"role": "assistant", "content": _TEXT}
    body = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "bench",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 250, "completion_tokens": 250, "total_tokens": 500},
    }
    raw = json.dumps(body).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(raw)
    return head + raw


def _events() -> list[bytes]:
    shared = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1700000000, "model": "bench"}
    bodies = [
        {**shared, "choices": [{"index": 0, "delta": {"content": _TEXT[16 * i : 16 * i + 16]}, "finish_reason": None}]}
        for i in range(CHUNKS - 1)
    ]
    bodies.append({**shared, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events = [b"data: %s\n\n" % json.dumps(body).encode() for body in bodies]
    usage = {**shared, "choices": [], "usage": {"prompt_tokens": 250, "completion_tokens": 63, "total_tokens": 313}}
    events[-1] += b"data: %s\n\ndata: [DONE]\n\n" % json.dumps(usage).encode()
    return [b"%x\r\n%s\r\n" % (len(event), event) for event in events]


_COMPLETION = _completion()
_EVENTS = _events()
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')


class Upstream(asyncio.Protocol):
    """Answers whatever is posted; a body that asks for a stream gets one."""

    def __init__(self) -> None:
        self.seen = b""
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, _error: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        self.seen += data
        while (end := self.seen.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self.seen, 0, end)
            stop = end + 4 + (int(found[1]) if found else 0)
            if len(self.seen) < stop:
                return
            body, self.seen = self.seen[end + 4 : stop], self.seen[stop:]
            if _STREAM.search(body):
                self.stream(0)
            elif self.transport:
                self.transport.write(_COMPLETION)

    def stream(self, position: int) -> None:
        if self.transport is None:
            return
        if position == 0:
            self.transport.write(_STREAM_HEAD)
        self.transport.write(_EVENTS[position])
        if position + 1 < len(_EVENTS):
            asyncio.get_running_loop().call_later(GAP, self.stream, position + 1)
        else:
            self.transport.write(b"0\r\n\r\n")


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main())
