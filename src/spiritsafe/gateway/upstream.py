"""The model servers behind the gateway: which one answers, what it speaks, and what its failures mean."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from spiritsafe import __version__
from spiritsafe.errors import UsageError
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.settings import UpstreamSettings
from spiritsafe.gateway.wire import read
from spiritsafe.gateway.wire.types import Dialect

_FORWARDED = (b"anthropic-version", b"anthropic-beta", b"openai-beta", b"traceparent", b"tracestate")
_LARGE = 1 << 20
_MAX_ERROR = 1 << 20
_MAX_ANSWER = 256 << 20
_STALE_SECONDS = 1.0
_decode = msgspec.json.Decoder().decode


class Upstream:
    """One model server. ``url`` may change while it runs: a restarted teacher has another port."""

    def __init__(self, settings: UpstreamSettings, session: aiohttp.ClientSession) -> None:
        self.settings = settings
        self._session = session
        self._speaks: dict[str, bool] = {}
        self._probing = asyncio.Lock()
        self._key = _key(settings)
        self._paths: dict[str, URL] = {}
        self.url = ""
        self.move(settings.url)
        if settings.speaks != "auto":
            names = ("chat", "completions", "responses", "messages", "embeddings")
            self._speaks = {name: name in settings.speaks for name in names}

    def move(self, url: str) -> None:
        """The server is found elsewhere now."""
        self.url = url.rstrip("/").removesuffix("/v1")
        self._paths.clear()

    @property
    def host(self) -> str:
        """The server's name or address."""
        return URL(self.url).host or ""

    @property
    def port(self) -> int:
        """The server's port."""
        return URL(self.url).port or 80

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
                response = await self.post(dialect.path, b"{}", {}, dialect)
                try:
                    # A server that knows the path complains about the request or the key; a wrong path is not found,
                    # and a server that answers an empty request with success did not understand it.
                    self._speaks[dialect.name] = response.status in (400, 401, 403, 422, 429)
                finally:
                    response.release()
        return self._speaks[dialect.name]

    async def post(
        self, path: str, body: bytes, client: dict[bytes, bytes], dialect: Dialect
    ) -> aiohttp.ClientResponse:
        """Send a request; the answer's body is the caller's to read and release. Raises ``Fault``."""
        headers = self._headers(dialect, client)
        headers["Content-Type"] = "application/json"
        url = self._url(path)
        began = time.monotonic()
        for attempt in (1, 2):
            # aiohttp warns about long bodies in one piece; from a file object it sends them in pieces.
            data: Any = body if len(body) < _LARGE else io.BytesIO(body)
            try:
                return await self._session.post(url, data=data, headers=headers, allow_redirects=False)
            except aiohttp.ClientConnectorError as error:
                raise self._unreachable(error) from error
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # Most likely a kept connection that the server closed as we used it; later, it was at work already.
                if attempt == 2 or time.monotonic() - began > _STALE_SECONDS:
                    raise _disconnected() from error
            except TimeoutError as error:
                raise Fault(
                    "timeout_connect", "the model server does not take connections", remedy="Try again in a moment."
                ) from error
            except aiohttp.ClientError as error:
                raise nonsense(f"its answer is no HTTP ({type(error).__name__})") from error
        raise AssertionError("unreachable")

    async def get(self, path: str, client: dict[bytes, bytes], dialect: Dialect) -> tuple[int, bytes]:
        """Fetch a small document: status and body. Raises ``Fault``."""
        try:
            async with self._session.get(
                self._url(path), headers=self._headers(dialect, client), allow_redirects=False
            ) as response:
                return response.status, await whole(response)
        except aiohttp.ClientConnectorError as error:
            raise self._unreachable(error) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _disconnected() from error

    def _url(self, path: str) -> URL:
        found = self._paths.get(path)
        if found is None:
            found = URL(self.url + path)
            if len(self._paths) < 64:
                self._paths[path] = found
        return found

    def _headers(self, dialect: Dialect, client: dict[bytes, bytes]) -> CIMultiDict[str]:
        headers: CIMultiDict[str] = CIMultiDict(_PLAIN)
        for name in _FORWARDED:
            if (value := client.get(name)) is not None:
                headers[name.decode("latin-1")] = value.decode("latin-1")
        if self._key is not None:
            auth = self.settings.auth
            if auth == "x-api-key" or (auth == "auto" and dialect.name == "messages"):
                headers["x-api-key"] = self._key
            else:
                headers["Authorization"] = f"Bearer {self._key}"
        if dialect.name == "messages":
            headers.setdefault("anthropic-version", "2023-06-01")
        return headers

    def _unreachable(self, error: Exception) -> Fault:
        return Fault(
            "upstream_unreachable",
            f"the model server {self.settings.name!r} can't be reached",
            remedy="Try again in a moment; if it lasts, tell whoever runs this gateway.",
            retry_after=2,
        )


_PLAIN = {"User-Agent": f"spiritsafe/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}


def _key(settings: UpstreamSettings) -> str | None:
    if settings.key_env is None:
        return None
    value = os.environ.get(settings.key_env)
    if not value:
        raise UsageError(
            f"the environment variable {settings.key_env} holds no key for the upstream {settings.name!r}",
            remedy=f"Set it: export {settings.key_env}=...",
        )
    return value.strip()


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


def open_session(connect_seconds: float) -> aiohttp.ClientSession:
    """The client session for all upstreams: no cookies, no decompression, no limit but our own."""
    return aiohttp.ClientSession(
        # Servers commonly close idle connections after 5 seconds; a shorter life avoids meeting them as they do.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4.0, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds),
    )


def nonsense(what: str) -> Fault:
    """A fault for an upstream whose answer can't be understood."""
    return Fault(
        "upstream_nonsense",
        f"the model server's answer can't be understood: {what}",
        remedy="Try again; if it lasts, tell whoever runs this gateway.",
    )


def _disconnected() -> Fault:
    return Fault(
        "upstream_disconnected",
        "the model server closed the connection before it answered",
        remedy="Try again; if it lasts, tell whoever runs this gateway.",
    )


async def whole(response: aiohttp.ClientResponse, limit: int = _MAX_ANSWER) -> bytes:
    """The whole body of an answer. Raises ``Fault`` for one that is cut short or longer than ``limit``."""
    try:
        body = await response.content.readany()
        if response.content.at_eof():  # as nearly always: it came in one piece
            return body
        pieces = [body]
        size = len(body)
        while piece := await response.content.readany():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise nonsense(f"it is longer than {limit} bytes")
        return b"".join(pieces)
    except (aiohttp.ClientError, OSError) as error:
        raise Fault(
            "upstream_cut_short",
            "the model server's answer ended before it was complete",
            remedy="Try again; if it lasts, tell whoever runs this gateway.",
        ) from error


async def failure(response: aiohttp.ClientResponse) -> Fault:
    """What an upstream's error answer means to our client.

    Its judgement of the request (4xx) is passed on with its status and words; its trouble with our key or with
    itself is ours (502, 503).
    """
    try:
        body = await whole(response, _MAX_ERROR)
    except Fault:
        body = b""
    status, (words, detail) = response.status, _words(body)
    said = f"the model server answered {status}" + (f": {words}" if words else "")
    retry = _seconds(response.headers.get("Retry-After"))
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


def _seconds(value: str | None) -> float | None:
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None
