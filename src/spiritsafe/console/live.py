"""What the pages hear while they are open: each second's traffic, and that something was decided."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response, StreamingResponse

from spiritsafe.console.page import HEADERS, session_of, store_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from spiritsafe.console.pulse import Pulse

LASTS = 8
"""Seconds until a stream ends and the browser opens the next, so that a stopping server isn't held up for longer."""


async def live(request: Request) -> Response:
    """Server-sent events: ``history`` once, then ``traffic`` each second and ``changed`` after each decision."""
    if session_of(request) is None:
        return Response("Sign in first.", 403, HEADERS, "text/plain")
    pulse: Pulse = request.app.state.pulse
    await asyncio.to_thread(pulse.start)
    events = _events(pulse, store_of(request).generation, request.headers.get("last-event-id"))
    return StreamingResponse(events, 200, HEADERS, "text/event-stream")


async def _events(pulse: Pulse, generation: Callable[[], int], known: str | None) -> AsyncIterator[bytes]:
    """One stream. Each event that tells of decisions carries the store's generation as its id, which the browser
    sends back as ``known`` when it opens the next stream: what was decided in between is told then.
    """
    yield b"retry: 500\n\n"
    seen = await asyncio.to_thread(generation)
    history = pulse.seconds()
    yield _event("history", [msgspec.structs.astuple(second) for second in history], seen)
    if known is not None and known != str(seen):
        yield _event("changed", seen, seen)
    last = history[-1].at
    for _ in range(LASTS):
        await asyncio.sleep(1)
        for second in pulse.seconds(after=last):
            last = second.at
            yield _event("traffic", msgspec.structs.astuple(second), seen)
        now = await asyncio.to_thread(generation)
        if now != seen:
            seen = now
            yield _event("changed", now, now)


def _event(name: str, value: object, generation: int) -> bytes:
    return f"id: {generation}\nevent: {name}\ndata: ".encode() + msgspec.json.encode(value) + b"\n\n"
