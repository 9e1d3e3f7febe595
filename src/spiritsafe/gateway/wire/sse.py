"""Server-sent events, cut at their boundaries as the bytes come in."""

from __future__ import annotations

import re

_BOUNDARY = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")


class Splitter:
    """Cuts a byte stream into events; keeps the beginning of one that has not ended.

    Line ends may be LF, CRLF or CR (WHATWG HTML, section 9.2.6). An event is given as its raw bytes, boundary
    included, and the bytes of its data, ``b""`` for a comment.
    """

    __slots__ = ("_rest", "limit")

    def __init__(self, limit: int = 16 << 20) -> None:
        self._rest = b""
        self.limit = limit

    def feed(self, chunk: bytes) -> list[tuple[bytes, bytes]]:
        """The events that ``chunk`` completes. Raises ``ValueError`` when one grows over the limit."""
        if self._rest:
            chunk = self._rest + chunk
        events: list[tuple[bytes, bytes]] = []
        if b"\r" in chunk:
            start = self._slow(chunk, events)
        else:
            start = 0
            while (end := chunk.find(b"\n\n", start)) >= 0:
                stop = end + 2
                raw = chunk if start == 0 and stop == len(chunk) else chunk[start:stop]
                events.append((raw, _data(raw)))
                start = stop
        self._rest = chunk[start:] if start else chunk
        if len(self._rest) > self.limit:
            raise ValueError(f"an event of more than {self.limit} bytes")
        return events

    def _slow(self, chunk: bytes, events: list[tuple[bytes, bytes]]) -> int:
        start = 0
        for found in _BOUNDARY.finditer(chunk):
            raw = chunk[start : found.end()]
            events.append((raw, _data(raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))))
            start = found.end()
        return start


def _data(raw: bytes) -> bytes:
    """The data of one event: its data lines joined by LF."""
    if raw.startswith(b"data: ") and raw.find(b"\n", 6) == len(raw) - 2:  # one line, as nearly all have
        return raw[6:-2]
    lines = [line[5:].removeprefix(b" ") for line in raw.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)


def event(data: bytes, name: str | None = None) -> bytes:
    """One event as bytes; ``data`` must hold no line end, as compact JSON doesn't."""
    if name is None:
        return b"data: %s\n\n" % data
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)
