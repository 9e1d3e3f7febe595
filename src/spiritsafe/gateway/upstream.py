"""The model servers behind the gateway: which one answers, what it speaks, and what its failures mean."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from fnmatch import fnmatchcase

import msgspec

from spiritsafe import __version__
from spiritsafe.errors import UsageError
from spiritsafe.gateway.client import Lost, NotHttp, Pool, Reply, TooSlow, Unreachable
from spiritsafe.gateway.enforce.gate import RawHeaders
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.settings import UpstreamSettings
from spiritsafe.gateway.wire import read
from spiritsafe.gateway.wire.types import Dialect

_VERSION = b"anthropic-version"
TENANT = b"x-spiritsafe-tenant"
MARK = b"x-spiritsafe-mark"
"""How a model server of our own is told for whom it answers, and tells which mark the answer carries."""
_FORWARDED = (_VERSION, b"anthropic-beta", b"openai-beta", b"traceparent", b"tracestate")
_MAX_ERROR = 1 << 20
_MAX_ANSWER = 256 << 20
_decode = msgspec.json.Decoder().decode


class Upstream:
    """One model server. It may move while it runs: a restarted teacher has another port."""

    def __init__(self, settings: UpstreamSettings, connect_seconds: float) -> None:
        self.settings = settings
        self._patience = connect_seconds
        self._speaks: dict[str, bool] = {}
        self._probing = asyncio.Lock()
        self._key = _key(settings)
        self._fixed: dict[str, bytes] = {}
        self.url = ""
        self._pool = self.move(settings.url)
        if settings.speaks != "auto":
            names = ("chat", "completions", "responses", "messages", "embeddings")
            self._speaks = {name: name in settings.speaks for name in names}

    def move(self, url: str) -> Pool:
        """The server is found elsewhere now; gives the connections to it."""
        if self.url:
            self._pool.close()
        self.url = url.rstrip("/").removesuffix("/v1")
        self._pool = Pool(self.url, self._patience)
        return self._pool

    def close(self) -> None:
        """Drop the connections that are not in use."""
        self._pool.close()

    @property
    def host(self) -> str:
        """The server's name or address."""
        return self._pool.host

    @property
    def port(self) -> int:
        """The server's port."""
        return self._pool.port

    async def speaks(self, dialect: Dialect) -> bool:
        """Whether the server offers this API; asked for once with an empty request if the settings don't say.

        Only ``messages`` and ``responses`` are asked about: they alone can be translated.
        """
        known = self._speaks.get(dialect.name)
        if known is not None:
            return known
        if dialect.name not in ("messages", "responses"):
            return True
        async with self._probing:
            if dialect.name not in self._speaks:
                reply = await self.request("POST", dialect.path, b"{}", {}, dialect)
                reply.close()
                # A server that knows the path complains about the request or the key; a wrong path is not found,
                # and a server that answers an empty request with success did not understand it.
                self._speaks[dialect.name] = reply.status in (400, 401, 403, 422, 429)
        return self._speaks[dialect.name]

    async def get(self, path: str, client: RawHeaders, dialect: Dialect) -> tuple[int, bytes]:
        """Fetch a document: status and body. Raises ``Fault``."""
        reply = await self.request("GET", path, b"", client, dialect)
        try:
            return reply.status, await whole(reply)
        finally:
            reply.release()

    async def request(self, method: str, path: str, body: bytes, client: RawHeaders, dialect: Dialect) -> Reply:
        """Send a request; the answer is the caller's to read and release. Raises ``Fault``."""
        headers = self._fixed.get(dialect.name)
        if headers is None:
            headers = self._fixed[dialect.name] = self._fixed_headers(dialect)
        if not client.keys().isdisjoint(_FORWARDED):
            headers += b"".join(b"%s: %s\r\n" % (name, client[name]) for name in _FORWARDED if name in client)
        if self.settings.tell_tenant and TENANT in client:
            headers += b"%s: %s\r\n" % (TENANT, client[TENANT])
        if dialect.name == "messages" and _VERSION not in client:
            headers += b"%s: 2023-06-01\r\n" % _VERSION
        try:
            return await self._pool.request(method, path, headers, body)
        except TooSlow as error:
            raise Fault(
                "timeout_connect", "the model server does not take connections", remedy="Try again in a moment."
            ) from error
        except Unreachable as error:
            raise Fault(
                "upstream_unreachable",
                f"the model server {self.settings.name!r} can't be reached",
                remedy="Try again in a moment; if it lasts, tell whoever runs this gateway.",
                retry_after=2,
            ) from error
        except Lost as error:
            raise Fault(
                "upstream_disconnected",
                "the model server closed the connection before it answered",
                remedy="Try again; if it lasts, tell whoever runs this gateway.",
            ) from error
        except NotHttp as error:
            raise nonsense(str(error)) from error

    def _fixed_headers(self, dialect: Dialect) -> bytes:
        headers = _PLAIN
        if self._key is not None:
            auth = self.settings.auth
            if auth == "x-api-key" or (auth == "auto" and dialect.name == "messages"):
                headers += b"x-api-key: %s\r\n" % self._key
            else:
                headers += b"Authorization: Bearer %s\r\n" % self._key
        return headers


_PLAIN = (
    b"User-Agent: spiritsafe/%s\r\nAccept: */*\r\nAccept-Encoding: identity\r\nContent-Type: application/json\r\n"
    % __version__.encode()
)


def _key(settings: UpstreamSettings) -> bytes | None:
    if settings.key_env is None:
        return None
    value = os.environ.get(settings.key_env)
    if not value:
        raise UsageError(
            f"the environment variable {settings.key_env} holds no key for the upstream {settings.name!r}",
            remedy=f"Set it: export {settings.key_env}=...",
        )
    return value.strip().encode("latin-1")


def pick(upstreams: Iterable[Upstream], model: str | None) -> Upstream:
    """The first server whose patterns fit the model; an unnamed model goes to the first of all that take any."""
    for upstream in upstreams:
        if any(pattern == "*" or (model and fnmatchcase(model, pattern)) for pattern in upstream.settings.models):
            return upstream
    raise Fault(
        "unknown_model",
        f"no model server behind this gateway serves {model!r}",
        remedy="GET /v1/models lists those there are.",
    )


def nonsense(what: str) -> Fault:
    """A fault for an upstream whose answer can't be understood."""
    return Fault(
        "upstream_nonsense",
        f"the model server's answer can't be understood: {what}",
        remedy="Try again; if it lasts, tell whoever runs this gateway.",
    )


async def whole(reply: Reply, limit: int = _MAX_ANSWER) -> bytes:
    """The whole body of an answer. Raises ``Fault`` for one that is cut short or longer than ``limit``."""
    try:
        body = await reply.read()
        if reply.ended:  # as nearly always: it came in one piece
            return body
        pieces = [body]
        size = len(body)
        while piece := await reply.read():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise nonsense(f"it is longer than {limit} bytes")
        return b"".join(pieces)
    except (Lost, NotHttp) as error:
        raise cut_short() from error


def cut_short() -> Fault:
    """A fault for an answer that broke off."""
    return Fault(
        "upstream_cut_short",
        "the model server's answer ended before it was complete",
        remedy="Try again; if it lasts, tell whoever runs this gateway.",
    )


async def failure(reply: Reply) -> Fault:
    """What an upstream's error answer means to our client.

    Its judgement of the request (4xx) is passed on with its status and words; its trouble with our key or with
    itself is ours (502, 503).
    """
    try:
        body = await whole(reply, _MAX_ERROR)
    except Fault:
        body = b""
    status, (words, detail) = reply.status, _words(body)
    said = f"the model server answered {status}" + (f": {words}" if words else "")
    retry = _seconds(reply.header(b"retry-after"))
    if status == 429:
        return Fault("upstream_rate_limit", said, remedy="Wait before trying again.", retry_after=retry or 5)
    if status in (401, 403):
        return Fault("upstream_auth", "the model server refuses this gateway's key", remedy="Tell whoever runs it.")
    if 400 <= status < 500:
        reason = "unknown_model" if status == 404 else "upstream_rejected"
        return Fault(reason, said, remedy="Change the request as it says.", status=status, detail=detail)
    if status in (503, 529):
        return Fault("upstream_overloaded", said, remedy="Try again in a moment.", retry_after=retry or 5)
    if status >= 500:
        return Fault("upstream_error", said, remedy="Try again; if it lasts, tell whoever runs this gateway.")
    return nonsense(f"status {status}")


def _words(body: bytes) -> tuple[str, dict[str, str]]:
    """The message in an error body of any of the usual shapes, shortened, and the code and parameter it names."""
    try:
        payload = _decode(body)
    except read.UNREADABLE:
        return "", {}
    found = read.mapping(payload)
    error = found.get("error", found.get("detail", found.get("message")))
    detail: dict[str, str] = {}
    if isinstance(error, dict):
        detail = {name: error[name] for name in ("code", "param") if isinstance(error.get(name), str)}
        error = error.get("message")
    if isinstance(error, list):
        error = "; ".join(str(read.mapping(item).get("msg", item)) for item in error)
    return str(error)[:1000] if error else "", detail


def _seconds(value: bytes) -> float | None:
    try:
        return max(0.0, float(value)) if value else None
    except ValueError:
        return None
