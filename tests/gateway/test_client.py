"""Against servers of raw bytes, since what matters here is what general servers never do."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.gateway import client
from spiritsafe.gateway.client import Lost, NotHttp, Pool, TooSlow, Unreachable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Thing: a\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"


class Wire:
    """A server that answers the n-th request it sees with the n-th of ``answers``: pieces of bytes, ``None`` to
    drop the connection, a number to wait so many seconds. ``seen`` are the requests; ``met`` counts connections.
    """

    def __init__(self, answers: list[list[Any]]) -> None:
        self.answers = answers
        self.seen: list[bytes] = []
        self.met = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.seen.append(head + await reader.readexactly(length))
                for piece in self.answers.pop(0):
                    if piece is None:
                        writer.transport.abort()
                        return
                    if isinstance(piece, bytes):
                        writer.write(piece)
                        await writer.drain()
                    else:
                        await asyncio.sleep(piece)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


Serve = Callable[..., Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a ``Wire`` with these answers; gives it and a pool of connections to it."""
    async with AsyncExitStack() as stack:

        async def start(*answers: list[Any], secure: Any = None) -> tuple[Wire, Pool]:
            wire = Wire(list(answers))
            server = await stack.enter_async_context(await asyncio.start_server(wire, "127.0.0.1", 0, ssl=secure))
            pool = Pool(f"http{'s' if secure else ''}://localhost:{server.sockets[0].getsockname()[1]}/base/", 1.0)
            stack.push_async_callback(asyncio.sleep, 0)  # for the transports to end
            stack.callback(server.close)
            stack.callback(pool.close)
            return wire, pool

        yield start


async def ask(pool: Pool, body: bytes = b"{}") -> bytes:
    reply = await pool.request("POST", "/v1/x", b"A: b\r\n", body)
    found = [piece async for piece in pieces(reply)]
    reply.release()
    return b"".join(found)


async def pieces(reply: Any) -> AsyncIterator[bytes]:
    while piece := await reply.read():
        yield piece


async def test_a_request_is_what_was_asked_for_and_nothing_more(serve: Serve) -> None:
    wire, pool = await serve([OK])
    reply = await pool.request("POST", "/v1/x", b"A: b\r\n", b"{}")
    assert (reply.status, reply.header(b"x-thing"), reply.header(b"none")) == (200, b"a", b"")
    assert await reply.read() == b"hello"
    assert reply.ended
    host = f"localhost:{pool.port}".encode()
    reply.release()
    assert wire.seen == [b"POST /base/v1/x HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 2\r\nA: b\r\n\r\n{}"]


async def test_a_connection_is_used_again_and_again(serve: Serve) -> None:
    wire, pool = await serve([OK], [CHUNKED], [OK])
    assert [await ask(pool) for _ in range(3)] == [b"hello", b"hello world", b"hello"]
    assert wire.met == 1


async def test_requests_at_the_same_time_have_connections_of_their_own(serve: Serve) -> None:
    wire, pool = await serve(*([0.2, OK] for _ in range(5)))
    assert await asyncio.gather(*(ask(pool) for _ in range(5))) == [b"hello"] * 5
    assert wire.met == 5


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        OK + b"HTTP/1.1 200 OK\r\n",
        OK + b"junk",
    ],
)
async def test_a_connection_that_must_not_be_used_again_is_not(serve: Serve, answer: bytes) -> None:
    wire, pool = await serve([answer], [OK])
    assert [await ask(pool) for _ in range(2)] == [b"hello", b"hello"]
    assert wire.met == 2


async def test_what_was_not_read_to_its_end_is_dropped(serve: Serve) -> None:
    wire, pool = await serve([OK], [OK])
    reply = await pool.request("POST", "/v1/x", b"", b"")
    reply.release()
    assert await ask(pool) == b"hello"
    assert wire.met == 2


async def test_a_connection_unused_for_long_is_not_trusted(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "IDLE_SECONDS", 0.1)
    wire, pool = await serve([OK], [OK])
    await ask(pool)
    await asyncio.sleep(0.15)
    await ask(pool)
    assert wire.met == 2


async def test_one_that_the_server_closes_meanwhile_is_forgotten(serve: Serve) -> None:
    wire, pool = await serve([OK, None], [OK])
    await ask(pool)
    await asyncio.sleep(0.1)
    assert not pool._idle
    assert await ask(pool) == b"hello"
    assert wire.met == 2


async def test_an_unasked_word_on_a_kept_connection_ends_it(serve: Serve) -> None:
    wire, pool = await serve([OK, 0.05, OK], [OK])
    await ask(pool)
    await asyncio.sleep(0.15)
    assert await ask(pool) == b"hello"
    assert wire.met == 2


async def test_no_more_than_some_are_kept(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "KEPT", 2)
    _, pool = await serve(*([0.1, OK] for _ in range(9)))
    await asyncio.gather(*(ask(pool) for _ in range(5)))
    assert len(pool._idle) == 2


async def test_a_kept_connection_lost_as_it_was_used_is_replaced_once(serve: Serve) -> None:
    wire, pool = await serve([OK], [None], [OK])
    await ask(pool)
    assert await ask(pool, b"again") == b"hello"
    assert (wire.met, wire.seen[1][-5:], wire.seen[2][-5:]) == (2, b"again", b"again")


@pytest.mark.parametrize("answers", [[[None]], [[OK], [b"HTTP/1.1 200 OK\r\n", None]], [[OK], [None], [None]]])
async def test_other_losses_are_told(serve: Serve, answers: list[list[Any]]) -> None:
    """On a fresh connection; once an answer has begun; twice."""
    _, pool = await serve(*answers)
    if answers[0] == [OK]:
        await ask(pool)
    with pytest.raises(Lost):
        await ask(pool)


async def test_one_that_was_at_work_for_long_is_not_asked_again(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "STALE_SECONDS", 0.1)
    wire, pool = await serve([OK], [0.3, None], [OK])
    await ask(pool)
    with pytest.raises(Lost):
        await ask(pool)
    assert len(wire.seen) == 2


async def test_an_answer_that_breaks_off_gives_what_came_and_then_tells(serve: Serve) -> None:
    _, pool = await serve([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel", 0.1, None])
    reply = await pool.request("POST", "/v1/x", b"", b"")
    assert await reply.read() == b"hel"
    with pytest.raises(Lost) as caught:
        await reply.read()
    assert caught.value.begun
    reply.close()


async def test_an_answer_without_a_length_ends_with_its_connection(serve: Serve) -> None:
    class Once(Wire):
        async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
            writer.close()

    async with await asyncio.start_server(Once([]), "127.0.0.1", 0) as server:
        pool = Pool(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", 1.0)
        assert await ask(pool, b"") == b"hello"
        assert not pool._idle


async def test_an_interim_answer_is_passed_over(serve: Serve) -> None:
    _, pool = await serve([b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", 0.05, OK])
    reply = await pool.request("POST", "/v1/x", b"", b"")
    assert (reply.status, reply.header(b"link")) == (200, b"")
    assert await reply.read() == b"hello"
    reply.release()


@pytest.mark.parametrize(
    "junk",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nzzz",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_told(serve: Serve, junk: bytes) -> None:
    _, pool = await serve([junk, 0.2])
    with pytest.raises(NotHttp):
        await ask(pool)


@given(st.binary(min_size=1, max_size=200))
@settings(max_examples=60)
def test_any_bytes_are_an_answer_or_told(junk: bytes) -> None:
    async def play() -> None:
        async with await asyncio.start_server(Wire([[junk, None]]), "127.0.0.1", 0) as server:
            pool = Pool(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", 1.0)
            try:
                await ask(pool)
            except (Lost, NotHttp):
                pass
            finally:
                pool.close()

    asyncio.run(play())


async def test_a_server_that_is_not_there_or_takes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable):
        await ask(Pool("http://127.0.0.1:1", 1.0))
    with pytest.raises(Unreachable):
        await ask(Pool("http://no-such-host.invalid", 5.0))

    async def never(*_: Any, **__: Any) -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    began = time.monotonic()
    with pytest.raises(TooSlow):
        await ask(Pool("http://127.0.0.1:1", 0.2))
    assert time.monotonic() - began < 10


async def test_a_request_that_is_given_up_drops_its_connection(serve: Serve) -> None:
    wire, pool = await serve([5], [OK])
    task = asyncio.create_task(ask(pool))
    await asyncio.sleep(0.3)
    assert len(wire.seen) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await ask(pool) == b"hello"
    assert wire.met == 2


@pytest.mark.parametrize("loop_of", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_server_that_is_faster_than_its_reader_is_made_to_wait(loop_of: Any) -> None:
    sent = 0
    body = b"x" * (64 << 20)

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 1 << 16):
            writer.write(body[start : start + (1 << 16)])
            await writer.drain()
            sent += 1 << 16
        writer.close()

    async def play() -> None:
        async with await asyncio.start_server(flood, "127.0.0.1", 0) as server:
            pool = Pool(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", 1.0)
            reply = await pool.request("POST", "/", b"", b"")
            await asyncio.sleep(0.5)
            assert sent < 32 << 20
            assert reply._waiting < 8 << 20
            got = 0
            while piece := await reply.read():
                got += len(piece)
            assert got == len(body)
            reply.release()
            pool.close()

    with asyncio.Runner(loop_factory=loop_of) as runner:
        runner.run(play())


async def test_a_long_body_arrives_whole(serve: Serve) -> None:
    wire, pool = await serve([OK])
    body = b"y" * (5 << 20)
    assert await ask(pool, body) == b"hello"
    assert wire.seen[0].endswith(body)


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate that it signed itself."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_tls_is_spoken_and_a_certificate_nobody_vouches_for_is_refused(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure = certificate(tmp_path)
    _, pool = await serve([OK], secure=secure)
    with pytest.raises(Unreachable, match=r"certificate|CERTIFICATE"):
        await ask(pool)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    _, trusting = await serve([OK], [CHUNKED], secure=secure)
    assert await ask(trusting) == b"hello"
    assert await ask(trusting) == b"hello world"
