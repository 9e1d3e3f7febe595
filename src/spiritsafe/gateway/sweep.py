"""Cutting off what takes too long or whose client has left: one timer for all requests, none for each.

A request that is answered within a tick costs no timer and no task. Only those that live longer get a
listener for their client's leaving. The price is that limits are kept to within a tick.
"""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from spiritsafe.gateway.settings import TimeoutSettings, seconds
from spiritsafe.gateway.types import Event, Receive

TICK = 0.2

Phase = Literal["first_byte", "idle", "busy"]
"""What a flight waits for: the upstream's first byte, its next one, or something that has no limit of its own."""

Cut = Literal["client_gone", "timeout_first_byte", "timeout_idle", "timeout_total"]


class Flight:
    """A request under way, and the task to cancel when it must end."""

    __slots__ = ("began", "cut", "listener", "over", "phase", "receive", "since", "task")

    def __init__(self, receive: Receive) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.receive = receive
        self.began = self.since = time.monotonic()
        self.phase: Phase = "busy"
        self.cut: Cut | None = None
        self.listener: asyncio.Task[Event] | None = None
        self.over = False

    def wait(self, phase: Phase) -> None:
        """Begin to wait for something."""
        self.phase = phase
        self.since = time.monotonic()

    def end(self, why: Cut) -> None:
        """Cancel the request's task; it finds the reason in ``cut``."""
        if not self.over and self.cut is None:
            self.cut = why
            self.task.cancel()


class Sweep:
    """The flights under way and the task that looks after them."""

    def __init__(self, timeouts: TimeoutSettings) -> None:
        self._first = seconds(timeouts.first_byte)
        self._idle = seconds(timeouts.idle)
        self._total = seconds(timeouts.total)
        self._flights: set[Flight] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look after flights, on the running loop."""
        self._task = asyncio.create_task(self._run(), name="sweep")

    async def stop(self) -> None:
        """Look after them no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def enter(self, receive: Receive) -> Flight:
        """Take the current task under watch; its request's body must have been read."""
        flight = Flight(receive)
        self._flights.add(flight)
        return flight

    def leave(self, flight: Flight) -> None:
        """The request is done with."""
        flight.over = True
        self._flights.discard(flight)
        if flight.listener is not None:
            flight.listener.cancel()

    def __len__(self) -> int:
        return len(self._flights)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            for flight in list(self._flights):
                self._look(flight, now)

    def _look(self, flight: Flight, now: float) -> None:
        if flight.listener is None and now - flight.began >= TICK:
            flight.listener = asyncio.ensure_future(_hear(flight))
        waited = now - flight.since
        if flight.phase == "first_byte" and waited > self._first:
            flight.end("timeout_first_byte")
        elif flight.phase == "idle" and waited > self._idle:
            flight.end("timeout_idle")
        elif now - flight.began > self._total:
            flight.end("timeout_total")


async def _hear(flight: Flight) -> Event:
    """Wait for the client to leave; the server says so once, also when the answer is complete."""
    event = await flight.receive()
    if event["type"] == "http.disconnect":
        flight.end("client_gone")
    return event
