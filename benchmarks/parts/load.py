"""A bounded load of raw sockets: so many connections, so many requests, the time each answer took."""

from __future__ import annotations

import asyncio
import time

import msgspec


class Load(msgspec.Struct, frozen=True):
    """What a run saw: latencies in seconds, sorted; ``firsts`` are the times to the first body byte."""

    seconds: float
    latencies: list[float]
    firsts: list[float]

    def quantile(self, q: float) -> float:
        return self.latencies[min(len(self.latencies) - 1, int(q * len(self.latencies)))]


class Client(asyncio.Protocol):
    """One keep-alive connection; ``ask`` sends prepared bytes and returns when the answer has ended.

    ``head`` is that of the answer heard last, in lower case.
    """

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.done: asyncio.Future[float] | None = None
        self.first = 0.0
        self.head = b""
        self.head_end = -1
        self.length: int | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        if self.done and not self.done.done():
            self.done.set_exception(error or ConnectionError("closed before the answer ended"))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.head_end < 0:
            self.head_end = self.buffer.find(b"\r\n\r\n")
            if self.head_end < 0:
                return
            head = self.head = bytes(self.buffer[: self.head_end]).lower()
            at = head.find(b"content-length:")
            self.length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else None
        body_start = self.head_end + 4
        if len(self.buffer) > body_start and not self.first:
            self.first = time.perf_counter()
        if self.length is None:
            ended = self.buffer.endswith(b"0\r\n\r\n")
        else:
            ended = len(self.buffer) >= body_start + self.length
        if ended and self.done and not self.done.done():
            self.done.set_result(time.perf_counter())

    async def ask(self, request: bytes) -> tuple[float, float]:
        """Seconds to the first byte of the body and to the answer's end."""
        assert self.transport is not None
        if self.transport.is_closing():
            raise ConnectionError("the server closed the connection")
        self.buffer, self.head_end, self.first = bytearray(), -1, 0.0
        self.done = asyncio.get_running_loop().create_future()
        begin = time.perf_counter()
        self.transport.write(request)
        end = await self.done
        return self.first - begin, end - begin

    @property
    def status(self) -> int:
        """Of the answer heard last."""
        return int(self.head[9:12])


def request(port: int, path: str, body: bytes, key: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\nuser-agent: bench\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def drive(port: int, prepared: bytes, *, requests: int, connections: int) -> Load:
    """Send ``requests`` over ``connections``, one at a time on each."""
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(Client, "127.0.0.1", port))[1] for _ in range(connections)]
    left = requests
    latencies: list[float] = []
    firsts: list[float] = []

    async def work(client: Client) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            first, whole = await client.ask(prepared)
            if client.status != 200:
                raise RuntimeError(f"the server answered {bytes(client.buffer)!r}")
            firsts.append(first)
            latencies.append(whole)

    begin = time.perf_counter()
    await asyncio.gather(*(work(client) for client in clients))
    seconds = time.perf_counter() - begin
    for client in clients:
        assert client.transport is not None
        client.transport.close()
    return Load(seconds, sorted(latencies), sorted(firsts))
