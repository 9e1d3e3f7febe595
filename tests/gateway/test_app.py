from __future__ import annotations

import asyncio
from typing import Any

import pytest

from spiritsafe.gateway.app import Gateway
from spiritsafe.record.exchange import Exchange
from spiritsafe.store import Limits

ASKED: list[Any] = [{"role": "user", "content": "How?"}]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "unknown_path"),
        ("GET", "/", 404, "unknown_path"),
        ("POST", "/v1/messages/count_tokens", 404, "unknown_path"),
        ("GET", "/v1/messages", 405, "method_not_allowed"),
        ("PUT", "/v1/responses", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_served_is_said_in_order(stand: Any, method: str, path: str, status: int, code: str) -> None:
    found, answer, _ = stand.call(method, path)
    assert (found, answer["error"]["code"]) == (status, code)
    assert "/v1/chat/completions" in answer["error"]["message"] or "Use POST" in answer["error"]["message"]
    _, answer, _ = stand.call(method, path, anthropic_version="2023-06-01")
    assert answer["type"] == "error"


def test_metrics_count_what_happened(stand: Any) -> None:
    stand.openai().chat.completions.create(model="m", messages=ASKED)
    status, _, headers = stand.call("GET", "/metrics", x_forwarded_for="203.0.113.9")
    assert status == 401
    import http.client

    connection = http.client.HTTPConnection(stand.url.removeprefix("http://"))
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    assert (response.status, headers["content-type"]) == (200, "application/json")
    assert 'spiritsafe_exchanges_total{api="chat",status="200"}' in text
    assert "spiritsafe_record_writable 1.0" in text


def test_a_revoked_key_opens_nothing_from_the_next_request_on(stand: Any) -> None:
    key, secret = stand.store.add_key(stand.account.account_id)
    client = stand.openai(secret)
    assert client.chat.completions.create(model="m", messages=ASKED).choices
    stand.store.revoke_key(key.key_id)
    status, answer, _ = stand.call("POST", "/v1/chat/completions", {}, authorization=f"Bearer {secret}")
    assert (status, answer["error"]["code"]) == (401, "revoked_key")


def test_pages_answer_what_is_no_api(make_stand: Any) -> None:
    stand = make_stand()

    async def pages(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    stand.gateway._pages = pages
    assert stand.call("GET", "/")[0] == 200
    assert stand.call("GET", "/accounts/x")[0] == 200
    assert stand.call("GET", "/v1/nothing")[0] == 404
    assert stand.call("GET", "/healthz")[1] == {"status": "alive"}


async def test_a_web_socket_is_closed() -> None:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    gateway = Gateway.__new__(Gateway)
    await gateway({"type": "websocket"}, send, send)  # type: ignore[arg-type]
    assert sent[0]["type"] == "websocket.close"


def test_usage_reaches_the_store_and_is_whole_again_after_a_crash(make_stand: Any) -> None:
    stand = make_stand()
    stand.openai().chat.completions.create(model="m", messages=ASKED)
    stand.stop()
    (usage,) = stand.store.usage()
    assert (usage.requests, usage.tokens) == (1, 10)
    # What the record holds beyond that, a gateway that begins finds:
    given = {"exchange_id": "e", "time": stand.exchanges()[0].time, "account_id": stand.account.account_id}
    lost = Exchange(**given, key_id=stand.key.key_id, status=200, prompt_tokens=5, completion_tokens=1)
    stand.parts.log.append(lost).result()
    again = Gateway(stand.parts)

    async def begin() -> None:
        await again.open()
        await again.close()

    asyncio.run(begin())
    (usage,) = stand.store.usage()
    assert (usage.requests, usage.tokens) == (2, 16)
    stand._thread = type("Done", (), {"join": lambda *_: None, "is_alive": lambda _: False})()


def test_quotas_of_the_day_are_kept(stand: Any) -> None:
    key, secret = stand.store.add_key(stand.account.account_id, limits=Limits(tokens_per_day=10))
    client = stand.openai(secret)
    client.chat.completions.create(model="m", messages=ASKED)
    status, answer, headers = stand.call(
        "POST", "/v1/chat/completions", {"model": "m", "messages": ASKED}, x_api_key=secret
    )
    assert status == 200  # the other key, which stands first
    body = {"model": "m", "messages": ASKED}
    status, answer, headers = stand.call("POST", "/v1/chat/completions", body, authorization=f"Bearer {secret}")
    assert (status, answer["error"]["code"]) == (429, "tokens_per_day")
    assert 0 < int(headers["retry-after"]) <= 86400
    assert key.limits.tokens_per_day == 10
