"""``spiritsafe serve``: everything that a gateway needs opened in order, run, and closed in reverse."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import msgspec
import uvicorn
import uvloop

from spiritsafe.errors import InputError, ResourceError, UsageError
from spiritsafe.gateway.app import Gateway, Parts
from spiritsafe.gateway.children import Child
from spiritsafe.gateway.settings import Api, Settings, UpstreamSettings, seconds
from spiritsafe.gateway.types import App
from spiritsafe.gateway.wire.types import Payload
from spiritsafe.policy.rules import load as load_rules
from spiritsafe.record.identity import open_identity
from spiritsafe.record.keys import secret
from spiritsafe.record.log import SealedLog
from spiritsafe.store import open_store

TEACHER = "teacher"
TEACHER_PATIENCE = 600.0
"""Seconds: the first start converts the embedded teacher's weights."""

WATCHER_PATIENCE = 180.0


class Running(msgspec.Struct, frozen=True):
    """What a gateway says of itself once it serves. ``first`` is true while the store has no account."""

    url: str
    port: int
    pid: int
    data: str
    admin_token: str
    upstreams: list[str]
    first: bool
    watcher: int | None = None
    teacher: int | None = None


Announce = Callable[[Running], None]
Pages = Callable[[Parts], App]
"""Makes what answers beside the APIs: the console."""


def run(settings: Settings, announce: Announce, pages: Pages | None = None) -> None:
    """Serve until SIGINT or SIGTERM. ``announce`` is called once the port answers.

    Raises ``SpiritsafeError`` for a port that is taken, a folder or record that can't be written, a store or
    teacher that is not there, and settings that name no upstream.
    """
    if not settings.upstreams and settings.teacher is None:
        remedy = "Name one: --upstream http://HOST:PORT/v1, or --teacher smollm2, or 'upstreams:' in --config."
        raise UsageError("there is no model server to stand before", remedy=remedy)
    listening = listen(settings.host, settings.port)
    with contextlib.ExitStack() as stack:
        stack.callback(listening.close)
        parts = open_parts(settings, stack)
        uvloop.run(_serve(parts, listening, announce, pages))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``ResourceError`` if the address can't be had."""
    where = f"{host}:{port}"
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            remedy = "Stop the program that has it, or choose another with --port (0 takes any that is free)."
            raise ResourceError("the port is taken", remedy=remedy, where=where) from error
        remedy = "Choose another with --host and --port."
        raise ResourceError(f"can't listen there: {error.strerror or error}", remedy=remedy, where=where) from error
    listening.setblocking(False)
    return listening


def open_parts(settings: Settings, stack: contextlib.ExitStack) -> Parts:
    """Open policy, store, record and keys; ``stack`` closes them, the record last."""
    folder = settings.folder
    rules = load_rules(settings.policy)
    if settings.watch.reference is not None and not settings.reference.is_file():
        remedy = "Make one: spiritsafe calibrate LOG --out FILE. To try things out, give: starter."
        raise InputError("there is no reference", remedy=remedy, where=str(settings.reference))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        remedy = "Choose another with --data, or check the permissions."
        why = f"the data folder can't be made: {error.strerror}"
        raise ResourceError(why, remedy=remedy, where=str(folder)) from error
    record = settings.record
    log = SealedLog.open(
        folder / "record", content=record.content, roll_rows=record.roll_rows, roll_seconds=seconds(record.roll)
    )
    stack.callback(log.close)
    store = stack.enter_context(open_store(settings.database_url))
    token = secret(folder / "keys" / "admin.token").hex()
    return Parts(settings, rules, store, log, open_identity(folder), token)


async def _serve(parts: Parts, listening: socket.socket, announce: Announce, pages: Pages | None) -> None:
    settings = parts.settings
    async with contextlib.AsyncExitStack() as closing:
        children: dict[str, Child] = {}
        gateway = Gateway(parts, pages(parts) if pages is not None else None)
        if settings.teacher is not None:
            children[TEACHER] = teacher = _teacher(parts, gateway, settings.teacher)
            closing.push_async_callback(teacher.stop)
            await teacher.start(TEACHER_PATIENCE)
        closing.push_async_callback(gateway.close)
        await gateway.open()
        if settings.watch.enabled:
            children["watcher"] = watcher = Child("watcher", _watcher(settings), lambda _said: None)
            closing.push_async_callback(watcher.stop)
            await watcher.start(WATCHER_PATIENCE)
        gateway.health.processes |= {name: child.trouble for name, child in children.items()}
        server = _Server(settings, gateway, lambda: announce(_running(parts, listening, gateway, children)))
        gc.freeze()  # what lives for good need not be looked at again by every collection, nor so often
        gc.set_threshold(20_000, 10, 10)
        await server.serve(sockets=[listening])


class _Server(uvicorn.Server):
    """uvicorn, which calls ``ready`` once it accepts connections."""

    def __init__(self, settings: Settings, app: Gateway, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=max(1, round(seconds(settings.drain))),
                timeout_keep_alive=60,
                h11_max_incomplete_event_size=None,
            )
        )
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the serving and nothing more: uvicorn would raise them again once it has
        stopped, before anything else was closed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._ready()


def _teacher(parts: Parts, gateway: Gateway, spec: str) -> Child:
    """The teacher's process. Each time it begins, its port becomes the address of the upstream of that name."""

    def ready(said: Payload) -> None:
        url = f"http://127.0.0.1:{said['port']}"
        if gateway.upstreams:
            next(each for each in gateway.upstreams if each.settings.name == TEACHER).move(url)
        else:
            speaks: tuple[Api, ...] = ("chat", "completions", "embeddings")
            told = parts.settings.mark is not None
            mine = UpstreamSettings(url=url, name=TEACHER, speaks=speaks, tell_tenant=told)
            others = parts.settings.upstreams
            parts.settings = msgspec.structs.replace(parts.settings, upstreams=(*others, mine))

    mark, folder = parts.settings.mark, str(parts.settings.folder)
    module = "spiritsafe.teach.server" if mark is None else "spiritsafe.protect.serve"
    command = [sys.executable, "-m", module, spec, "--port", "0", "--stop-with-stdin"]
    command += [] if mark is None else ["--mark", mark, "--data", folder]
    return Child(TEACHER, command, ready)


def _watcher(settings: Settings) -> list[str]:
    command = [sys.executable, "-m", "spiritsafe.gateway.watch", "--data", str(settings.folder)]
    command += ["--database", settings.database_url, "--every", settings.watch.every]
    command += ["--reference", str(settings.reference)]
    if settings.watch.policy is not None:
        command += ["--policy", settings.watch.policy]
    return command


def _running(parts: Parts, listening: socket.socket, gateway: Gateway, children: dict[str, Child]) -> Running:
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return Running(
        url=f"http://{shown}:{port}",
        port=port,
        pid=os.getpid(),
        data=str(parts.settings.folder),
        admin_token=str(parts.settings.folder / "keys" / "admin.token"),
        upstreams=[upstream.url for upstream in gateway.upstreams],
        first=not parts.store.accounts(),
        watcher=children["watcher"].pid if "watcher" in children else None,
        teacher=children[TEACHER].pid if TEACHER in children else None,
    )
