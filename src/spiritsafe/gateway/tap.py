"""A stream on its way from upstream to client: heard, perhaps changed, and its end held back."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire import read, sse
from spiritsafe.gateway.wire.types import Answer, Ask, Dialect, Payload, Stream

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode

Take = Callable[[Payload], bool]
"""Takes from an event's payload, in place, what may not leave; false if nothing is left that is worth sending."""

Edit = Callable[[bytes, bytes], bytes]
"""From an event's raw bytes and its data to the bytes that leave in its place."""


class Tap:
    """Takes the upstream's bytes and gives those that may leave at once.

    Whole events leave as they came, in the chunk that completed them. From the event on that begins the
    answer's end, everything is held until the caller has the exchange recorded and asks for ``ending``.
    ``drop_usage`` keeps an event that holds nothing but token counts from a client that didn't ask for it.
    """

    __slots__ = (
        "_answer",
        "_ask",
        "_dialect",
        "_drop_usage",
        "_edit",
        "_held",
        "_into",
        "_splitter",
        "_take",
        "ended",
        "fault",
    )

    def __init__(
        self,
        dialect: Dialect,
        ask: Ask,
        answer: Answer,
        *,
        into: Stream | None = None,
        withhold: bool = False,
        take: Take | None = None,
        drop_usage: bool = False,
    ) -> None:
        self._dialect = dialect
        self._ask = ask
        self._answer = answer
        self._into = into
        self._drop_usage = drop_usage
        self._splitter = sse.Splitter()
        self._held: list[bytes] = []
        self._edit: Edit | None = None
        self._take = dialect.withhold if withhold or take is None else take
        if withhold or take is not None:
            self._edit = self._withheld
        elif into is not None:
            self._edit = self._translated
        self.ended = False
        """Whether the answer's end has begun."""
        self.fault: Fault | None = None
        """What was wrong with the bytes fed last; all before that has been given."""

    def feed(self, chunk: bytes) -> bytes:
        """What may leave now. If the upstream speaks no events, or no JSON in them, ``fault`` says so afterwards."""
        out: list[bytes] = []
        try:
            for raw, data in self._splitter.feed(chunk):
                ends = bool(data) and self._hears(data)
                passed = raw if self._edit is None else self._edit(raw, data)
                if self.ended or ends:
                    self._hold(passed)
                else:
                    out.append(passed)
        except (*read.UNREADABLE, ValueError) as error:
            self.fault = Fault(
                "upstream_nonsense",
                f"the model server sent something else than events of JSON: {error}",
                remedy="Try again; if it lasts, tell whoever runs this gateway.",
            )
        return out[0] if len(out) == 1 else b"".join(out)

    def _hears(self, data: bytes) -> bool:
        """Whether the event must be held: the end begins with it, or it says that something went wrong."""
        return self._dialect.hear(data, self._ask, self._answer) or self._answer.error is not None

    def _hold(self, out: bytes) -> None:
        self.ended = True
        if not (self._drop_usage and self._answer.bare_usage):
            self._held.append(out)

    def ending(self) -> bytes:
        """The held end of the answer; ask for it once the exchange is recorded."""
        end = b"".join(self._held)
        return end if self._into is None else end + self._into.close()

    def _withheld(self, raw: bytes, data: bytes) -> bytes:
        if not data or data == b"[DONE]":
            return raw if self._into is None else b""
        payload = _decode(data)
        if not isinstance(payload, dict):
            return raw if self._into is None else b""
        if not self._take(payload):
            return b""
        data = _encode(payload)
        if self._into is not None:
            return self._into.event(data)
        named = raw.startswith(b"event:") and isinstance(payload.get("type"), str)
        return sse.event(data, payload["type"] if named else None)

    def _translated(self, raw: bytes, data: bytes) -> bytes:
        assert self._into is not None
        return self._into.event(data)
