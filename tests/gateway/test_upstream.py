from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from spiritsafe.errors import UsageError
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.settings import UpstreamSettings
from spiritsafe.gateway.upstream import Upstream, failure, pick, whole
from spiritsafe.gateway.wire import CHAT, DIALECTS

MESSAGES, RESPONSES = DIALECTS["/v1/messages"], DIALECTS["/v1/responses"]


Made = Callable[..., Upstream]


@pytest.fixture
async def made() -> AsyncIterator[Made]:
    """Make upstreams, and close them at the end."""
    opened: list[Upstream] = []

    def make(**fields: Any) -> Upstream:
        opened.append(Upstream(UpstreamSettings(**{"url": "http://127.0.0.1:1", **fields}), 1.0))
        return opened[-1]

    yield make
    for each in opened:
        each.close()
    await asyncio.sleep(0)  # for the transports to end


async def test_the_first_server_whose_patterns_fit_answers(made: Made) -> None:
    small = made(models=("small-*", "tiny"))
    rest = made()
    assert pick([small, rest], "small-7") is small
    assert pick([small, rest], "tiny") is small
    assert pick([small, rest], "large") is rest
    assert pick([small, rest], None) is rest
    with pytest.raises(Fault) as caught:
        pick([small], "large")
    assert (caught.value.reason, caught.value.status) == ("unknown_model", 404)


@pytest.mark.parametrize("url", ["{}", "{}/", "{}/v1", "{}/v1/"])
async def test_an_address_may_end_with_the_version_or_not(made: Made, upstream: Any, url: str) -> None:
    server = made(url=url.format(upstream.url))
    status, body = await server.get("/v1/models", {}, CHAT)
    assert (status, b'"id": "m"' in body) == (200, True)
    assert (server.host, server.port) == ("127.0.0.1", upstream.port)
    assert upstream.calls[0][0] == "/v1/models"


async def test_keys_come_from_the_environment_and_go_where_each_api_looks_for_them(
    made: Made, upstream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UP_KEY", "sk-up")
    about = {"url": upstream.url, "key_env": "UP_KEY"}
    for dialect, auth in ((CHAT, "auto"), (MESSAGES, "auto"), (CHAT, "x-api-key"), (MESSAGES, "bearer")):
        response = await made(auth=auth, **about).request("POST", "/v1/x", b"{}", {}, dialect)
        response.release()
    sent = [{name.lower(): value for name, value in headers.items()} for _, headers, _ in upstream.calls]
    assert [h.get("authorization") for h in sent] == ["Bearer sk-up", None, None, "Bearer sk-up"]
    assert [h.get("x-api-key") for h in sent] == [None, "sk-up", "sk-up", None]
    monkeypatch.delenv("UP_KEY")
    with pytest.raises(UsageError, match="UP_KEY holds no key"):
        made(**about)


async def test_only_headers_of_the_protocol_are_passed_on(made: Made, upstream: Any) -> None:
    client = {b"anthropic-beta": b"x", b"traceparent": b"00-1", b"cookie": b"c", b"x-forwarded-for": b"1.2.3.4"}
    (await made(url=upstream.url).request("POST", "/v1/x", b"{}", client, MESSAGES)).release()
    sent = {name.lower(): value for name, value in upstream.calls[0][1].items()}
    assert (sent["anthropic-beta"], sent["traceparent"], sent["accept-encoding"]) == ("x", "00-1", "identity")
    assert not {"cookie", "x-forwarded-for"} & set(sent)


async def test_a_large_body_arrives_whole(made: Made, upstream: Any) -> None:
    body = b'{"a":"' + b"x" * (3 << 20) + b'"}'
    (await made(url=upstream.url).request("POST", "/v1/chat/completions", body, {}, CHAT)).release()
    assert upstream.calls[0][2] == body


async def test_what_a_server_speaks_is_as_set_or_asked_for_once(made: Made, upstream: Any) -> None:
    fixed = made(url=upstream.url, speaks=("chat",))
    assert [await fixed.speaks(d) for d in (CHAT, MESSAGES)] == [True, False]
    asked = made(url=upstream.url)
    upstream.script = lambda path, _: upstream.Whole({}, status=422 if path == "/v1/messages" else 404)
    found = await asyncio.gather(*(asked.speaks(d) for d in (MESSAGES, RESPONSES, CHAT, MESSAGES)))
    assert found == [True, False, True, True]
    assert sorted(path for path, _, _ in upstream.calls) == ["/v1/messages", "/v1/responses"]


@pytest.mark.parametrize("status", [200, 404, 405, 500])
async def test_a_server_that_does_not_complain_of_an_empty_request_does_not_speak(
    made: Made, upstream: Any, status: int
) -> None:
    upstream.says({}, status=status)
    assert not await made(url=upstream.url).speaks(MESSAGES)


async def test_a_body_is_read_whole_or_not_at_all(made: Made, upstream: Any) -> None:
    mine = made(url=upstream.url)
    upstream.streams([b"ab", b"cd"], gap=0.05)
    response = await mine.request("POST", "/v1/x", b"{}", {}, CHAT)
    assert await whole(response) == b"abcd"
    response.release()
    upstream.streams([b"ab", b"cd"], gap=0.05)
    response = await mine.request("POST", "/v1/x", b"{}", {}, CHAT)
    with pytest.raises(Fault, match="longer than 3 bytes"):
        await whole(response, limit=3)
    response.close()
    upstream.streams([b"ab"], cut=True)
    response = await mine.request("POST", "/v1/x", b"{}", {}, CHAT)
    with pytest.raises(Fault) as caught:
        await whole(response)
    response.close()
    assert caught.value.reason == "upstream_cut_short"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "too long"}}, "too long"),
        ({"error": "too long"}, "too long"),
        ({"detail": "too long"}, "too long"),
        ({"message": "too long"}, "too long"),
        ({"detail": [{"msg": "too"}, {"msg": "long"}]}, "too; long"),
        (b"<html>", "answered 400."),
        ([], "answered 400."),
    ],
)
async def test_the_words_of_an_error_are_found_in_any_of_the_usual_shapes(
    made: Made, upstream: Any, body: Any, words: str
) -> None:
    upstream.says(upstream.Whole(body, status=400))
    response = await made(url=upstream.url).request("POST", "/v1/x", b"{}", {}, CHAT)
    fault = await failure(response)
    response.release()
    assert (fault.reason, fault.status) == ("upstream_rejected", 400)
    assert words in str(fault)


async def test_a_request_gets_the_apis_version_if_its_client_named_none(made: Made, upstream: Any) -> None:
    mine = made(url=upstream.url)
    for client in ({}, {b"anthropic-version": b"2030-01-01"}):
        (await mine.request("POST", "/v1/messages", b"{}", client, MESSAGES)).release()
    assert [headers["anthropic-version"] for _, headers, _ in upstream.calls] == ["2023-06-01", "2030-01-01"]


async def test_fetching_from_a_server_that_is_not_there(made: Made) -> None:
    with pytest.raises(Fault) as caught:
        await made().get("/v1/models", {}, CHAT)
    assert caught.value.reason == "upstream_unreachable"


@pytest.mark.parametrize("told", [False, True])
async def test_only_a_server_of_our_own_is_told_for_whom_it_answers(made: Made, upstream: Any, told: bool) -> None:
    server = made(url=upstream.url, tell_tenant=told)
    await server.get("/v1/models", {b"x-spiritsafe-tenant": b"acme"}, CHAT)
    named = {name.lower(): value for name, value in upstream.calls[-1][1].items()}
    assert named.get("x-spiritsafe-tenant") == ("acme" if told else None)
