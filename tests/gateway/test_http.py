from __future__ import annotations

import json
from typing import Any

import pytest

from spiritsafe.gateway import http
from spiritsafe.gateway.call import Call
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire import CHAT, DIALECTS


def receiving(*events: dict[str, Any]) -> Any:
    waiting = list(events)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    receive.left = waiting  # type: ignore[attr-defined]
    return receive


def piece(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_is_read_in_one_piece_or_in_many() -> None:
    assert await http.read_body(receiving(piece(b"abc")), {}, 3) == b"abc"
    pieces = receiving(piece(b"a", True), piece(b"", True), piece(b"bc"))
    assert await http.read_body(pieces, {}, 3) == b"abc"


async def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    receive = receiving(piece(b"x"))
    with pytest.raises(Fault) as caught:
        await http.read_body(receive, {b"content-length": b"52428800"}, 1000)
    assert (caught.value.reason, caught.value.status) == ("request_too_large", 413)
    assert receive.left


async def test_an_undeclared_length_over_the_limit_is_refused_once_it_is_passed() -> None:
    receive = receiving(piece(b"xx", True), piece(b"xx", True), piece(b"xx", True))
    with pytest.raises(Fault, match="longer than 3 bytes"):
        await http.read_body(receive, {}, 3)
    assert len(receive.left) == 1


@pytest.mark.parametrize("before", [[], [piece(b"a", True)]])
async def test_a_client_that_leaves_before_its_body_was_sent_is_noticed(before: list[dict[str, Any]]) -> None:
    with pytest.raises(http.ClientGone):
        await http.read_body(receiving(*before, {"type": "http.disconnect"}), {}, 3)


async def test_a_refusal_has_its_status_its_shape_and_its_headers() -> None:
    sent: list[dict[str, Any]] = []

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    fault = Fault("requests_per_minute", "too many", remedy="Wait.", retry_after=4.2)
    await http.refuse(send, fault, "openai", "ex_1", [(b"x-request-id", b"ex_1")])
    start, body = sent
    assert start["status"] == 429
    assert dict(start["headers"])[b"retry-after"] == b"5"
    assert dict(start["headers"])[b"content-length"] == b"%d" % len(body["body"])
    assert json.loads(body["body"])["error"]["code"] == "requests_per_minute"


def test_an_exchange_is_named_as_each_familys_clients_look_for_it() -> None:
    chat = Call(CHAT, {"headers": []})
    messages = Call(DIALECTS["/v1/messages"], {"headers": []})
    assert dict(http.identity(chat)) == {b"x-request-id": chat.id.encode()}
    assert set(dict(http.identity(messages))) == {b"x-request-id", b"request-id"}
