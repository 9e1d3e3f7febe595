"""The data plane: a plain ASGI callable. From the socket to the upstream in four hops:

1. uvicorn calls ``Gateway.__call__`` here, which looks the path up in one table;
2. ``relay.Relay.serve`` lets the request in (``enforce.gate``) or refuses it;
3. ``relay.Relay._forward`` puts it to the upstream in the API that one speaks (``wire``);
4. ``upstream.Upstream.request`` sends it.

The answer comes back through ``tap.Tap``, and ``recorder.Recorder.write`` stands before its last byte.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import cast

import msgspec

from spiritsafe.errors import SpiritsafeError
from spiritsafe.gateway import http
from spiritsafe.gateway.admin.app import PREFIX, admin_app
from spiritsafe.gateway.admin.types import Desk
from spiritsafe.gateway.appeals import PATH as APPEALS
from spiritsafe.gateway.appeals import Appeals
from spiritsafe.gateway.call import new_exchange_id
from spiritsafe.gateway.enforce.gate import Gate
from spiritsafe.gateway.enforce.roster import Roster
from spiritsafe.gateway.enforce.usage import Book
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.health import Health, is_operator
from spiritsafe.gateway.meter import Meter
from spiritsafe.gateway.models import PATH as MODELS
from spiritsafe.gateway.models import Models
from spiritsafe.gateway.recorder import Recorder
from spiritsafe.gateway.relay import Relay
from spiritsafe.gateway.release import Releaser
from spiritsafe.gateway.settings import Settings, seconds
from spiritsafe.gateway.shelf import Shelf
from spiritsafe.gateway.stored import Stored
from spiritsafe.gateway.sweep import Sweep
from spiritsafe.gateway.twins import Twins
from spiritsafe.gateway.types import App, Receive, Scope, Send
from spiritsafe.gateway.upstream import Upstream
from spiritsafe.gateway.wire import CHAT, DIALECTS
from spiritsafe.gateway.wire.types import Family
from spiritsafe.policy.rules import Rules
from spiritsafe.protect.release import Releases
from spiritsafe.record.identity import Pseudonymizer
from spiritsafe.record.keys import secret
from spiritsafe.record.log import SealedLog
from spiritsafe.record.reader import read as read_record
from spiritsafe.store import Store

FLUSH_SECONDS = 2.0
EXPIRE_EVERY = 30

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class Parts:
    """What a gateway is put together from; opened by the caller, who also closes it."""

    def __init__(
        self, settings: Settings, rules: Rules, store: Store, log: SealedLog, pseudonyms: Pseudonymizer, token: str
    ) -> None:
        self.settings = settings
        self.rules = rules
        self.store = store
        self.log = log
        self.pseudonyms = pseudonyms
        self.token = token


class Gateway:
    """The ASGI application. ``pages`` answers what is no API: the console is mounted there.

    Serves between ``open`` and ``close``, both on the server's loop; the server's lifespan is not used, so
    that what goes wrong at the start is an error of ours.
    """

    def __init__(self, parts: Parts, pages: App | None = None) -> None:
        self._parts = parts
        self._pages = pages
        self.meter = Meter()
        self.upstreams: list[Upstream] = []
        self.health = Health(self.upstreams, parts)
        self._exact: dict[str, Handler] = {}
        self._under: list[tuple[str, Handler]] = []
        self._closing: contextlib.AsyncExitStack = contextlib.AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            path = scope["path"]
            handler = self._exact.get(path)
            if handler is None or (scope["method"] != "POST" and path in DIALECTS):
                handler = self._other(path)
            await handler(scope, receive, send)
        elif kind == "websocket":  # accepted by nobody here
            await send({"type": "websocket.close", "code": 1000})

    def _other(self, path: str) -> Handler:
        for prefix, handler in self._under:
            if path == prefix or path.startswith(prefix + "/"):
                return handler
        if self._pages is not None and not path.startswith("/v1/"):
            return self._pages
        return _nothing_here

    async def open(self) -> None:
        """Begin to serve on the running loop. Raises ``SpiritsafeError``."""
        parts, settings = self._parts, self._parts.settings
        for each in settings.upstreams:
            upstream = Upstream(each, seconds(settings.timeouts.connect))
            self.upstreams.append(upstream)
            self._closing.callback(upstream.close)
        book = Book(parts.store, settings.folder)
        roster = Roster(parts.store, book, parts.rules.purposes)
        await roster.refresh(datetime.now(UTC))
        await _reconcile(book, roster, settings.folder / "record")
        gate = Gate(roster, book, settings.limits, settings.throttle)
        recorder = Recorder(parts.log, gate, book, parts.pseudonyms, settings.trust, settings.record.content)
        shelf = Shelf(settings.folder / "stored.db")
        self._closing.callback(shelf.close)
        sweep = Sweep(settings.timeouts)
        sweep.start()
        self._closing.push_async_callback(sweep.stop)
        self.health.watch(recorder, roster)
        self._gauge(sweep)
        twins = await self._open_twins(recorder) if settings.twins.share > 0 else None
        relay = Relay(settings, gate, recorder, self.upstreams, sweep, shelf, self.meter, twins, self._releaser())
        self._route(relay, gate, shelf)
        keeping = asyncio.create_task(self._keep(book), name="usage")
        self._closing.push_async_callback(_finish, keeping, book)

    async def close(self) -> None:
        """Stop serving; what was counted is flushed."""
        await self._closing.aclose()

    def _route(self, relay: Relay, gate: Gate, shelf: Shelf) -> None:
        parts = self._parts
        for path, dialect in DIALECTS.items():
            self._exact[path] = partial(relay.serve, dialect)
        stored = Stored(gate, shelf, parts.settings.folder / "record")
        desk = Desk(parts.store, parts.pseudonyms, lambda: datetime.now(UTC))
        self._exact |= {
            APPEALS: Appeals(gate, parts.store).serve,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
        }
        self._under = [
            (CHAT.path, stored.serve),
            (MODELS, Models(gate, self.upstreams).serve),
            (PREFIX, cast(Handler, admin_app(desk, parts.token))),
        ]

    def _releaser(self) -> Releaser | None:
        """Nothing that leaves is touched unless the settings say so."""
        settings = self._parts.settings
        if settings.release == Releases():
            return None
        root = secret(settings.folder / "keys" / "reasoning.key")
        return Releaser(settings.release, root, settings.trust.session_header)

    async def _open_twins(self, recorder: Recorder) -> Twins:
        twins = Twins(self._parts.settings, recorder)
        self._closing.push_async_callback(twins.close)
        await twins.open()
        self.meter.gauges |= {
            "twins_kept": ("Requests answered twice, both answers kept.", lambda: float(twins.kept)),
            "twins_lost": ("Requests answered twice of which one answer failed.", lambda: float(twins.lost)),
            "twins_tokens": ("Tokens that the withheld answers cost.", lambda: float(twins.tokens)),
        }
        return twins

    def _gauge(self, sweep: Sweep) -> None:
        self.meter.gauges |= {
            "in_flight": ("Requests under way.", lambda: float(len(sweep))),
            "record_rows": ("Exchanges in the record.", lambda: float(self._parts.log.rows)),
            "record_writable": ("Whether the last exchange could be written.", lambda: float(self.health.writable)),
        }

    async def _healthz(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await http.answer(send, 200, b'{"status":"alive"}', [])

    async def _readyz(self, scope: Scope, _receive: Receive, send: Send) -> None:
        state = await self.health.state()
        operator = is_operator(scope, self._parts.token)
        shown = state if operator else {name: {"ok": each["ok"]} for name, each in state.items()}
        ready = all(each["ok"] for each in state.values())
        body = msgspec.json.encode({"ready": ready, "checks": shown})
        await http.answer(send, 200 if ready else 503, body, [])

    async def _metrics(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if not is_operator(scope, self._parts.token):
            remedy = "Ask from this machine, or send the admin token as a bearer token."
            fault = Fault("missing_key", "metrics are for whoever runs this gateway", remedy=remedy)
            await http.refuse(send, fault, "openai", new_exchange_id(), [])
            return
        text = self.meter.text()
        head = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8"), (b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": text})

    async def _keep(self, book: Book) -> None:
        """Flush usage now and then, and mark decisions whose time has run out."""
        rounds = 0
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            rounds += 1
            try:
                await book.flush()
                if rounds % EXPIRE_EVERY == 0:
                    await asyncio.to_thread(self._parts.store.expire)
                self.health.keeping = None
            except SpiritsafeError as error:
                self.health.keeping = error


async def _reconcile(book: Book, roster: Roster, record: Path) -> None:
    """Count what a crash kept from the store."""
    start = book.covered()
    await asyncio.to_thread(lambda: book.reconcile(read_record(record, start=start), roster.key_ids))
    await book.flush()


async def _finish(keeping: asyncio.Task[None], book: Book) -> None:
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    # A store that is away now misses this batch until the next start finds it in the record.
    with contextlib.suppress(SpiritsafeError):
        await book.flush()


async def _nothing_here(scope: Scope, _receive: Receive, send: Send) -> None:
    method, path = scope["method"], scope["path"]
    family: Family = "anthropic" if any(name == b"anthropic-version" for name, _ in scope["headers"]) else "openai"
    if path in DIALECTS:
        fault = Fault("method_not_allowed", f"no {method} on {path}", remedy="Use POST.")
    else:
        served = ", ".join([*DIALECTS, MODELS, APPEALS])
        fault = Fault("unknown_path", f"there is no {path} here", remedy=f"This gateway serves {served}.")
    await http.refuse(send, fault, family, new_exchange_id(), [])
