"""Whether the gateway can serve: record, store, upstreams, and the processes beside it."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from spiritsafe.errors import SpiritsafeError
from spiritsafe.gateway.enforce.roster import Roster
from spiritsafe.gateway.types import Scope
from spiritsafe.gateway.upstream import Upstream

if TYPE_CHECKING:
    from spiritsafe.gateway.app import Parts
    from spiritsafe.gateway.recorder import Recorder

UPSTREAM_PATIENCE = 2.0
UPSTREAM_MEMORY = 5.0
"""Seconds for which an upstream's state is believed, so that probes of ours don't become probes of theirs."""

Check = dict[str, Any]


class Health:
    """Answers ``/readyz``. ``processes`` are asked for what is wrong with them, ``None`` if nothing."""

    def __init__(self, upstreams: Sequence[Upstream], parts: Parts) -> None:
        self._upstreams = upstreams
        self._parts = parts
        self._recorder: Recorder | None = None
        self._roster: Roster | None = None
        self._reached: dict[str, tuple[float, str | None]] = {}
        self.processes: dict[str, Callable[[], str | None]] = {}
        self.keeping: SpiritsafeError | None = None
        """Why usage could not be flushed."""

    def watch(self, recorder: Recorder, roster: Roster) -> None:
        """Ask these from now on."""
        self._recorder, self._roster = recorder, roster

    @property
    def writable(self) -> bool:
        """Whether the last exchange could be written."""
        return self._recorder is not None and self._recorder.trouble is None

    async def state(self) -> dict[str, Check]:
        """Each part: whether it is well, and if not why."""
        found = {"record": _check(self._record()), "store": _check(self._store())}
        reached = await asyncio.gather(*(self._reach(upstream) for upstream in self._upstreams))
        for upstream, why in zip(self._upstreams, reached, strict=True):
            found[f"upstream {upstream.settings.name}"] = _check(why)
        for name, ask in self.processes.items():
            found[name] = _check(ask())
        return found

    def _record(self) -> str | None:
        if self._recorder is None:
            return "not open yet"
        trouble = self._recorder.trouble or self._parts.log.trouble
        return str(trouble) if trouble is not None else None

    def _store(self) -> str | None:
        if self._roster is None:
            return "not open yet"
        try:
            self._roster.is_current(datetime.now(UTC))
        except SpiritsafeError as error:
            return str(error)
        return str(self.keeping) if self.keeping is not None else None

    async def _reach(self, upstream: Upstream) -> str | None:
        known = self._reached.get(upstream.url)
        if known is not None and time.monotonic() - known[0] < UPSTREAM_MEMORY:
            return known[1]
        why = await _connect(upstream.host, upstream.port)
        self._reached[upstream.url] = (time.monotonic(), why)
        return why


async def _connect(host: str, port: int) -> str | None:
    try:
        async with asyncio.timeout(UPSTREAM_PATIENCE):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        return f"{host}:{port} takes no connection ({error or 'too slow'})"
    writer.close()
    return None


def _check(why: str | None) -> Check:
    return {"ok": why is None, **({"why": why} if why is not None else {})}


def is_operator(scope: Scope, token: str) -> bool:
    """Whether a request comes from this machine itself, through no proxy, or bears the admin token."""
    headers = dict(scope["headers"])
    given = headers.get(b"authorization", b"")
    if hmac.compare_digest(given, f"Bearer {token}".encode()):
        return True
    client = scope.get("client")
    if client is None or b"x-forwarded-for" in headers or b"forwarded" in headers:
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
