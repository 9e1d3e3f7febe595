"""Reading a request's body and sending an answer, in ASGI's terms."""

from __future__ import annotations

from spiritsafe.gateway.call import Call
from spiritsafe.gateway.enforce.gate import RawHeaders
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.types import Headers, Receive, Send
from spiritsafe.gateway.wire import errors
from spiritsafe.gateway.wire.types import Family

JSON = (b"content-type", b"application/json")


class ClientGone(Exception):
    """The client left before its request was complete."""


async def read_body(receive: Receive, headers: RawHeaders, limit: int) -> bytes:
    """The request's body. Raises ``Fault`` for one longer than ``limit``, before reading it where its length is
    declared, and ``ClientGone``.
    """
    declared = headers.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    event = await receive()
    if event["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = event.get("body", b"")
    if not event.get("more_body", False):
        return body
    pieces = [body]
    size = len(body)
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        piece = event.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
        if not event.get("more_body", False):
            return b"".join(pieces)


def _too_large(limit: int) -> Fault:
    return Fault(
        "request_too_large",
        f"the body is longer than {limit} bytes",
        remedy="Send less at once; whoever runs this gateway can raise limits.body.",
    )


async def answer(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """A whole answer in JSON."""
    head = [JSON, (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, fault: Fault, family: Family, request_id: str, headers: Headers) -> None:
    """A fault as a whole answer, in the shape of the API that was spoken."""
    body = errors.body(fault, family, request_id)
    await answer(send, fault.status, body, [*headers, *errors.headers(fault)])


def identity(call: Call) -> Headers:
    """The exchange's id, under the names by which the families' clients find it."""
    value = call.id.encode()
    if call.dialect.family == "anthropic":
        return [(b"x-request-id", value), (b"request-id", value)]
    return [(b"x-request-id", value)]
