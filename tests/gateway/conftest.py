"""A model server that does as it is told, and gateways before it; both speak real HTTP on ports of their own."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import openai
import pytest
import uvloop
from aiohttp import web

from spiritsafe.gateway import server
from spiritsafe.gateway.app import Gateway, Parts
from spiritsafe.gateway.settings import Settings, UpstreamSettings, WatchSettings
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.reader import read
from spiritsafe.store import Account, Key, Limits, Store

Json = dict[str, Any]


class Whole(msgspec.Struct):
    """An answer in one piece; ``delay`` in seconds passes before it."""

    body: bytes | Json
    status: int = 200
    kind: str = "application/json"
    headers: dict[str, str] = {}
    delay: float = 0.0


class Events(msgspec.Struct):
    """An answer in pieces, ``gap`` seconds apart; ``cut`` drops the connection instead of ending it, ``hang``
    sends nothing more and never ends.
    """

    pieces: list[bytes]
    gap: float = 0.0
    kind: str = "text/event-stream"
    cut: bool = False
    hang: bool = False


Script = Callable[[str, Json], Whole | Events]


def data(*payloads: Json | str) -> list[bytes]:
    """Each payload as an event of its own."""
    return [f"data: {p if isinstance(p, str) else json.dumps(p)}\n\n".encode() for p in payloads]


_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def chunk(delta: Json, finish: str | None = None, index: int = 0, **more: Any) -> Json:
    """One chunk of a chat stream."""
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **more,
    }


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def chat(content: str = "Copper and patience.", **message: Any) -> Json:
    """A chat completion."""
    said = {"role": "assistant", "content": content, **message}
    choice = {"index": 0, "message": said, "finish_reason": "stop", "logprobs": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": USAGE,
    }


def chat_stream(*words: str, usage: bool = True) -> list[bytes]:
    """The events of a chat stream."""
    last = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [],
        "usage": USAGE,
    }
    chunks = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": word}) for word in words)]
    return data(*chunks, chunk({}, "stop"), *([last] if usage else []), "[DONE]")


def answering(path: str, body: Json) -> Whole | Events:
    """What the model server does when nobody told it otherwise."""
    if path == "/v1/models":
        return Whole({"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "us"}]})
    if path == "/v1/chat/completions":
        if body.get("stream"):
            wanted = body.get("stream_options", {}).get("include_usage", False)
            return Events(chat_stream("Copper", " and", " patience.", usage=wanted))
        return Whole(chat())
    if path == "/v1/completions":
        choice = {"index": 0, "text": " and patience", "finish_reason": "length", "logprobs": None}
        return Whole(
            {
                "id": "cmpl-1",
                "object": "text_completion",
                "created": 1,
                "model": "m",
                "choices": [choice],
                "usage": USAGE,
            }
        )
    if path == "/v1/embeddings":
        row = {"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}
        return Whole({"object": "list", "data": [row], "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2}})
    return Whole({"error": {"message": "no such path"}}, status=404)


class ModelServer:
    """See the module. ``calls`` are the requests it got, ``gone`` how many clients left before their answer ended."""

    Whole, Events = Whole, Events
    data, chunk, chat, chat_stream = (
        staticmethod(data),
        staticmethod(chunk),
        staticmethod(chat),
        staticmethod(chat_stream),
    )

    def __init__(self) -> None:
        self.script: Script = answering
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        self.gone = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bodies(self, path: str = "/v1/chat/completions") -> list[Json]:
        """The JSON bodies it got at one path."""
        return [json.loads(body) for where, _, body in self.calls if where == path]

    def says(self, answer: Whole | Events | bytes | Json, **fields: Any) -> None:
        """Give this answer to every request from now on."""
        found = answer if isinstance(answer, Whole | Events) else Whole(answer, **fields)
        self.script = lambda _path, _body: found

    def streams(self, pieces: list[bytes], **fields: Any) -> None:
        """Give these pieces of a stream to every request from now on."""
        self.says(Events(pieces, **fields))

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(120)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(120)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._up.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.calls.append((request.path, dict(request.headers), body))
        found = self.script(request.path, json.loads(body) if body else {})
        try:
            if isinstance(found, Whole):
                await asyncio.sleep(found.delay)
                raw = found.body if isinstance(found.body, bytes) else json.dumps(found.body).encode()
                return web.Response(
                    body=raw, status=found.status, headers={"Content-Type": found.kind, **found.headers}
                )
            return await self._stream(request, found)
        except (asyncio.CancelledError, ConnectionError):
            self.gone += 1
            raise

    async def _stream(self, request: web.Request, found: Events) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": found.kind})
        await response.prepare(request)
        for piece in found.pieces:
            await response.write(piece)
            await asyncio.sleep(found.gap)
        if found.hang:
            await asyncio.sleep(60)
        if found.cut:
            assert request.transport is not None
            request.transport.abort()
        return response


class Stand:
    """A gateway that runs in a thread of this process, and the means to use and inspect it."""

    def __init__(self, settings: Settings, parts: Parts, stack: contextlib.ExitStack) -> None:
        self.settings = settings
        self.parts = parts
        self.store: Store = parts.store
        self.account: Account = self.store.add_account("tests")
        self.key: Key
        self.key, self.secret = self.store.add_key(self.account.account_id)
        self.gateway = Gateway(parts)
        self.url = ""
        self.mark = 0
        self._stack = stack
        self._up = threading.Event()
        self._server: server._Server | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def new_key(self, **limits: int) -> str:
        """The secret of another key of the same account."""
        return self.store.add_key(self.account.account_id, limits=Limits(**limits))[1]

    def openai(self, secret: str | None = None, **options: Any) -> openai.OpenAI:
        """OpenAI's own client, which does not try twice."""
        made = openai.OpenAI(api_key=secret or self.secret, base_url=f"{self.url}/v1", max_retries=0, **options)
        return self._stack.enter_context(made)

    def anthropic(self, secret: str | None = None) -> anthropic.Anthropic:
        """Anthropic's own client, which does not try twice."""
        made = anthropic.Anthropic(api_key=secret or self.secret, base_url=self.url, max_retries=0)
        return self._stack.enter_context(made)

    def exchanges(self) -> list[Exchange]:
        """What was recorded since the test began."""
        return [exchange for _, exchange in read(self.settings.folder / "record", start=self.mark)]

    def call(
        self, method: str, path: str, body: bytes | Json | None = None, **headers: str
    ) -> tuple[int, Json, dict[str, str]]:
        """Send a plain request with the account's key: status, JSON, headers in lower case."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=120)
        raw = json.dumps(body).encode() if isinstance(body, dict) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, raw, {"authorization": f"Bearer {self.secret}", **named})
            response = connection.getresponse()
            got = response.read()
            return response.status, json.loads(got) if got else {}, {k.lower(): v for k, v in response.getheaders()}
        finally:
            connection.close()

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(120)

    def stop(self) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(120)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        listening = server.listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        await self.gateway.open()
        self._server = server._Server(self.settings, self.gateway, self._up.set)
        try:
            await self._server.serve(sockets=[listening])
        finally:
            await self.gateway.close()
            listening.close()


StandMaker = Callable[..., Stand]
SPOKEN = ("chat", "completions", "embeddings")


@pytest.fixture(scope="session")
def _model_server() -> Iterator[ModelServer]:
    made = ModelServer()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def upstream(_model_server: ModelServer) -> ModelServer:
    """The model server, doing what it does by itself and with nothing on its list."""
    _model_server.script = answering
    _model_server.calls = []
    _model_server.gone = 0
    return _model_server


def _stand(stack: contextlib.ExitStack, upstream: ModelServer, folder: Path, speaks: Any, **fields: Any) -> Stand:
    before = UpstreamSettings(url=upstream.url, speaks=speaks)
    given: Json = {"data": str(folder), "upstreams": (before,), "watch": WatchSettings(enabled=False)}
    settings = Settings(**{**given, **fields})
    stand = Stand(settings, server.open_parts(settings, stack), stack)
    stand.start()
    stack.callback(stand.stop)
    return stand


@pytest.fixture
def make_stand(upstream: ModelServer, tmp_path: Path) -> Iterator[StandMaker]:
    """Start a gateway before the model server; keyword arguments are its settings, ``speaks`` its upstream's."""
    with contextlib.ExitStack() as stack:

        def make(speaks: Any = SPOKEN, **fields: Any) -> Stand:
            return _stand(stack, upstream, tmp_path / "data", speaks, **fields)

        yield make


@pytest.fixture(scope="session")
def _common(_model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with contextlib.ExitStack() as stack:
        yield _stand(stack, _model_server, tmp_path_factory.mktemp("stand") / "data", SPOKEN)


@pytest.fixture
def stand(_common: Stand, upstream: ModelServer) -> Stand:
    """A gateway with the usual settings, shared by all tests that don't change its store's one account."""
    _common.mark = _common.parts.log.rows
    return _common


class Served:
    """``spiritsafe serve`` in a process of its own; ``said`` is what it announced."""

    def __init__(self, settings: Json, folder: Path) -> None:
        self.data = folder / "data"
        config = folder / "safe.yaml"
        config.write_text(json.dumps({"data": str(self.data), "port": 0, "watch": {"enabled": False}, **settings}))
        self._errors = (folder / "stderr").open("w+b")
        command = [sys.executable, "-c", "from spiritsafe.cli import main; main()", "serve", "--config", str(config)]
        self.process = subprocess.Popen(
            [*command, "--json"], stdout=subprocess.PIPE, stderr=self._errors, stdin=subprocess.DEVNULL
        )
        assert self.process.stdout is not None
        said = b""
        while not said.rstrip().endswith(b"}") and (line := self.process.stdout.readline()):
            said += line
        self.said: Json = json.loads(said) if said else {}

    @property
    def url(self) -> str:
        return str(self.said["url"])

    def errors(self) -> str:
        """What it wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read().decode()

    def end(self, how: int = signal.SIGTERM) -> int:
        """Send it a signal and wait; its exit code."""
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(120)
        self.process.stdout.close()
        return code

    def close(self) -> None:
        self.end(signal.SIGKILL)
        self._errors.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Begin ``spiritsafe serve`` with these settings and wait until it serves or has ended."""
    with contextlib.ExitStack() as stack:

        def make(**settings: Any) -> Served:
            return stack.enter_context(contextlib.closing(Served(settings, tmp_path)))

        yield make
