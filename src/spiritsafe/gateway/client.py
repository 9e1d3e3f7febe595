"""An HTTP/1.1 client for one model server: asyncio's transports, httptools' parser, nothing between.

It does what a gateway needs and no more: POST and GET with bodies in memory, answers whole or as they come,
kept connections, TLS. No redirects, cookies, compression or proxies. A general client costs more CPU a request
than everything else the gateway does (``benchmarks/gateway.py``).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from typing import cast
from urllib.parse import urlsplit

import httptools

HIGH_WATER = 1 << 18
"""Bytes of an answer that may wait here for a slow client before the server is made to wait."""

IDLE_SECONDS = 4.0
"""How long a connection is kept unused; servers commonly close theirs after 5, and we must be first."""

STALE_SECONDS = 1.0
"""A kept connection that is lost within so many seconds, unanswered, was closed as it was used."""

MOST_HEADERS = 256

KEPT = 256
"""How many unused connections are kept."""

Pairs = list[tuple[bytes, bytes]]


class Unreachable(Exception):
    """No connection could be made."""


class TooSlow(Unreachable):
    """A connection was not made in time."""


class Lost(Exception):
    """The connection ended before the answer did. ``begun`` says whether any of it had come."""

    def __init__(self, begun: bool) -> None:
        super().__init__("the connection was lost")
        self.begun = begun


class NotHttp(Exception):
    """What came is no HTTP answer."""


class Reply(asyncio.Protocol):
    """A connection and the answer that is coming in on it; one request at a time.

    ``status`` and ``headers`` (names in lower case) are those of the current answer once ``head`` has returned.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._paused = False
        self._headed = self._complete = self._framed = self._keep = False
        self._failure: Lost | NotHttp | None = None
        self.idle_since = 0.0
        self.answered = 0
        """Answers that have come in whole before the current one."""
        self.status = 0
        self.headers: Pairs = []

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        if self._parser is None:  # nobody asked: an answer to nothing can't be told from one to the next request
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(NotHttp("what came is no HTTP answer"))
            self.close()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._pool.forget(self)
        if self._parser is None or self._complete:
            return
        if self._headed and not self._framed and error is None:
            self.on_message_complete()  # an answer without a length ends with its connection
        else:
            self._fail(Lost(begun=self.status != 0))

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._complete:
            raise NotHttp("something follows the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MOST_HEADERS:
            raise NotHttp("an answer with too many headers")
        name = name.lower()
        if name == b"content-length" or name == b"transfer-encoding":
            self._framed = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self._keep = self._parser.should_keep_alive()
            self._headed = True
            self._wake()
        else:  # an interim answer; the real one follows
            self.headers = []

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._waiting += len(body)
        if self._waiting > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self._complete = True
            self.answered += 1
            self._wake()

    # What the gateway calls.

    @property
    def usable(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, head: bytes, body: bytes) -> None:
        """Send a request; its answer begins with ``head``."""
        assert self._transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._chunks.clear()
        self._waiting = 0
        self._headed = self._complete = self._framed = self._keep = False
        self._failure = None
        self.status, self.headers = 0, []
        self._transport.write(head + body if len(body) < HIGH_WATER else head)
        if len(body) >= HIGH_WATER:
            self._transport.write(body)

    async def head(self) -> None:
        """Wait for status and headers. Raises ``Lost`` or ``NotHttp``."""
        while not self._headed:
            await self._wait()

    def header(self, name: bytes) -> bytes:
        """The first header of that name (lower case), empty if there is none."""
        for each, value in self.headers:
            if each == name:
                return value
        return b""

    async def read(self) -> bytes:
        """What has come in since the last time, waiting for something; empty at the answer's end.

        Raises ``Lost`` or ``NotHttp``, after all that came before.
        """
        while not self._chunks:
            if self._complete:
                return b""
            await self._wait()
        self._waiting = 0
        if self._paused:
            self._paused = False
            if self._transport is not None:
                self._transport.resume_reading()
        if len(self._chunks) == 1:
            return self._chunks.popleft()
        found = b"".join(self._chunks)
        self._chunks.clear()
        return found

    @property
    def ended(self) -> bool:
        """Whether all of the answer was read."""
        return self._complete and not self._chunks

    def release(self) -> None:
        """Done with the answer: keep the connection if it is at its end, close it if not."""
        if self.ended and self._keep and self.usable:
            self._parser = None
            self._pool.keep(self)
        else:
            self.close()

    def close(self) -> None:
        """Drop the connection: the server stops working for nobody."""
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, failure: Lost | NotHttp) -> None:
        if self._failure is None and not self._complete:
            self._failure = failure
        self._wake()


class Pool:
    """Connections to one server, given as ``http://HOST:PORT`` or ``https://HOST``."""

    def __init__(self, url: str, connect_seconds: float) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if secure else 80)
        self.prefix = parts.path.rstrip("/")
        self._authority = parts.netloc.rpartition("@")[2]
        self._ssl = ssl.create_default_context() if secure else None
        self._patience = connect_seconds
        self._idle: deque[Reply] = deque()

    async def request(self, method: str, path: str, headers: bytes, body: bytes) -> Reply:
        """Send a request and wait for the answer's head. ``headers`` are whole lines, each ending with CR LF.

        A request that a kept connection lost at once, unanswered, is sent again on a new one: the server closed it
        as we used it. Raises ``Unreachable``, ``Lost`` or ``NotHttp``.
        """
        head = b"%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n" % (
            method.encode(),
            (self.prefix + path).encode(),
            self._authority.encode(),
            len(body),
            headers,
        )
        began = time.monotonic()
        reply = self._take(began)
        while True:
            fresh = reply is None
            if reply is None:
                reply = await self._connect()
            reply.send(head, body)
            try:
                await reply.head()
            except Lost as lost:
                if fresh or lost.begun or time.monotonic() - began > STALE_SECONDS:
                    raise
                reply = None
            except BaseException:
                reply.close()
                raise
            else:
                return reply

    def close(self) -> None:
        """Drop all connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    def keep(self, reply: Reply) -> None:
        """Take back a connection for the next request."""
        reply.idle_since = time.monotonic()
        self._idle.append(reply)
        while self._idle and (len(self._idle) > KEPT or reply.idle_since - self._idle[0].idle_since > IDLE_SECONDS):
            self._idle.popleft().close()

    def forget(self, reply: Reply) -> None:
        """A connection is gone."""
        if reply in self._idle:
            self._idle.remove(reply)

    def _take(self, now: float) -> Reply | None:
        while self._idle:
            reply = self._idle.pop()  # the one used last is the least likely to be closed
            if reply.usable and now - reply.idle_since < IDLE_SECONDS:
                return reply
            reply.close()
        return None

    async def _connect(self) -> Reply:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience):
                _, reply = await loop.create_connection(lambda: Reply(self), self.host, self.port, ssl=self._ssl)
        except TimeoutError as error:
            raise TooSlow(f"no connection within {self._patience:g} seconds") from error
        except OSError as error:  # ssl.SSLError is one
            raise Unreachable(str(error)) from error
        return reply
