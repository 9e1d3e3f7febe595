"""Processes beside the gateway: begun with it, begun again when they die, ended with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence

import msgspec

from spiritsafe.errors import ResourceError
from spiritsafe.gateway.wire.types import Payload

QUICK = 10.0
"""A process that lived less long than this many seconds is begun again with a growing pause."""

LONGEST_PAUSE = 30.0
KILL_AFTER = 5.0


class Child:
    """One process that prints a line of JSON once it is ready.

    ``ready`` is called with that line each time it begins. Its standard input is a pipe that nobody writes to: when
    that ends, the gateway is no more, however it died, and the process must end as well.
    """

    def __init__(self, name: str, command: Sequence[str], ready: Callable[[Payload], None]) -> None:
        self.name = name
        self._command = command
        self._ready = ready
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The id of the process that runs now."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    def trouble(self) -> str | None:
        """What is wrong with it, ``None`` if it runs."""
        if self.pid is not None:
            return None
        code = self._process.returncode if self._process is not None else None
        return f"not running (it ended with {code}); begun again {self.restarts} times"

    async def start(self, patience: float) -> None:
        """Begin, and wait until it is ready. Raises ``ResourceError`` if it isn't within ``patience`` seconds."""
        await self._begin(patience)
        self._keeper = asyncio.create_task(self._keep(patience), name=f"keep {self.name}")

    async def stop(self) -> None:
        """End it: politely, then not."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._end()

    async def _begin(self, patience: float) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # A model's threads that wait by spinning take the cores from one another, and from the gateway.
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
        )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(patience):
                line = await self._process.stdout.readline()
                said = msgspec.json.decode(line, type=Payload)
        except TimeoutError as error:
            await self._end()
            raise self._failed(f"it was not ready within {patience:.0f} seconds") from error
        except msgspec.DecodeError as error:
            await self._end()
            raise self._failed(f"it ended with {self._process.returncode} before it was ready") from error
        self._ready(said)

    def _failed(self, why: str) -> ResourceError:
        command = " ".join(self._command)
        remedy = f"See what it wrote above, or run it by itself: {command}"
        return ResourceError(f"the {self.name} did not begin: {why}", remedy=remedy)

    async def _keep(self, patience: float) -> None:
        pause = 0.5
        while True:
            assert self._process is not None
            began = time.monotonic()
            await self._process.wait()
            pause = 0.5 if time.monotonic() - began > QUICK else min(2 * pause, LONGEST_PAUSE)
            await asyncio.sleep(pause)
            self.restarts += 1
            with contextlib.suppress(ResourceError):  # trouble() tells of it
                await self._begin(patience)

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(KILL_AFTER):
                await process.wait()
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    # Not process.send_signal(): that asks for the exit code first and takes it from asyncio, which then says 255.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
