from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from spiritsafe.errors import InputError, ResourceError, UsageError
from spiritsafe.teach.openai import KEYS, OpenAITeacher, open_url, refusal
from spiritsafe.teach.types import Chat, Options, Raw, Sampling, Unwell

GOOD = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}
ONE = Sampling(max_tokens=5, seed=1)


class Upstream:
    """A server that answers as it is told, in order; the last answer is repeated."""

    def __init__(self) -> None:
        self.replies: list[Any] = [GOOD]
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.most = self._now = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            self.requests.append(
                (request.path, {name.lower(): text for name, text in request.headers.items()}, await request.json())
            )
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            await asyncio.sleep(0.01)
            return await reply(request) if callable(reply) else _response(reply)
        finally:
            self._now -= 1


def _response(reply: Any) -> web.Response:
    if isinstance(reply, web.Response):
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)
    return web.json_response(reply)


def failing(status: int, message: str = "no", **headers: str) -> web.Response:
    body = json.dumps({"error": {"message": message}}).encode()
    return web.Response(
        status=status, body=body, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


def events(*chunks: Any, done: bool = True):
    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": a comment\n\n")
        for chunk in chunks:
            await response.write(
                b"data: " + (chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()) + b"\n\n"
            )
        if done:
            await response.write(b"data: [DONE]\n\n")
        return response

    return reply


async def broken_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": "5000"})
    await response.prepare(request)
    await response.write(b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n')
    request.transport.abort()
    return response


@pytest.fixture
async def upstream():
    up = Upstream()
    app = web.Application()
    app.router.add_post("/v1/{rest:.*}", up.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    up.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"
    yield up
    await runner.cleanup()


@pytest.fixture
def teacher(upstream) -> OpenAITeacher:
    return OpenAITeacher(upstream.url, "m", None, pause=0.001)


async def ask(teacher: OpenAITeacher, *prompts: Any, sampling: Sampling = ONE):
    """``generate`` blocks and the server is in this loop: so from another thread."""
    return await asyncio.to_thread(teacher.generate, prompts or ("x",), sampling)


async def streamed(teacher: OpenAITeacher, sampling: Sampling = ONE) -> list:
    return [delta async for delta in teacher.stream("x", sampling)]


@pytest.mark.parametrize("rest", ["", "http://host/v1", "#m", "host/v1#m", "ftp://host#m", "http://#m"])
def test_a_spec_without_server_or_model_is_wrong_usage(rest) -> None:
    with pytest.raises(UsageError, match="openai:URL#model"):
        open_url(rest, Options())


async def test_the_key_comes_from_the_environment(upstream, monkeypatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    await ask(open_url(f"{upstream.url}/#m/with/slashes", Options()))
    path, headers, body = upstream.requests[-1]
    assert (path, body["model"]) == ("/v1/chat/completions", "m/with/slashes")
    assert "authorization" not in headers
    monkeypatch.setenv("OPENAI_API_KEY", "second")
    await ask(open_url(f"{upstream.url}#m", Options()))
    assert upstream.requests[-1][1]["authorization"] == "Bearer second"
    monkeypatch.setenv("SPIRITSAFE_TEACHER_KEY", "first")
    await ask(open_url(f"{upstream.url}#m", Options()))
    assert upstream.requests[-1][1]["authorization"] == "Bearer first"


async def test_answers_keep_the_order_of_the_prompts_and_few_are_asked_at_once(upstream, teacher) -> None:
    async def echo(request: web.Request) -> web.Response:
        body = await request.json()
        text = body.get("prompt") or body["messages"][0]["content"]
        return web.json_response({**GOOD, "choices": [{"index": 0, "text": text, "finish_reason": "stop"}]})

    upstream.replies = [echo]
    answers = await ask(teacher, *[f"p{index}" for index in range(30)], Raw("raw"))
    assert [answer.text for (answer,) in answers] == [*[f"p{index}" for index in range(30)], "raw"]
    assert 1 < upstream.most <= 8
    assert {path for path, _, _ in upstream.requests} == {"/v1/chat/completions", "/v1/completions"}


async def test_generate_may_be_called_inside_a_running_loop(teacher, upstream) -> None:
    class Elsewhere:
        """The upstream needs this loop, so the call is made in a loop of another thread."""

        @staticmethod
        async def call():
            return teacher.generate(["x"], ONE)

    answers = await asyncio.to_thread(asyncio.run, Elsewhere.call())
    assert answers[0][0].text == "hi"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_server_is_asked_again(upstream, teacher, status) -> None:
    upstream.replies = [failing(status), failing(status), GOOD]
    assert (await ask(teacher))[0][0].text == "hi"
    assert len(upstream.requests) == 3


async def test_after_so_many_attempts_it_is_a_resource_error(upstream, teacher) -> None:
    upstream.replies = [failing(503, "overloaded")]
    with pytest.raises(Unwell, match=r"503: overloaded"):
        await ask(OpenAITeacher(upstream.url, "m", None, attempts=3, pause=0.001))
    assert len(upstream.requests) == 3
    with pytest.raises(Unwell):
        await ask(open_url(f"{upstream.url}#m", Options(attempts=1)))
    assert len(upstream.requests) == 4


def test_what_retry_after_says_is_kept_up_to_a_minute() -> None:
    teacher = OpenAITeacher("http://h/v1", "m", None, pause=0.5)
    assert [teacher._wait(said, 1) for said in (3, 0, 3600)] == [3, 0, 60]
    for attempt, low, high in ((1, 0.25, 0.75), (3, 1.0, 3.0), (30, 60, 60)):
        assert low <= teacher._wait(None, attempt) <= high


def test_retry_after_is_seconds_or_a_date() -> None:
    def said(text: str | None) -> float | None:
        error = refusal(429, "", text, "here")
        assert isinstance(error, Unwell)
        assert error.busy
        return error.retry_after

    assert [said(text) for text in ("3", "-1", "soon", None)] == [3, 0, None, None]
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    assert 15 < said(soon) <= 20
    assert said(format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)) == 0


async def test_retry_after_is_waited_for(upstream, teacher, monkeypatch) -> None:
    waits: list[tuple[float | None, int]] = []
    monkeypatch.setattr(teacher, "_wait", lambda said, attempt: waits.append((said, attempt)) or 0)
    upstream.replies = [failing(429, retry_after="7"), failing(500), GOOD]
    assert (await ask(teacher))[0][0].text == "hi"
    assert waits == [(7.0, 1), (None, 2)]


@pytest.mark.parametrize(
    ("status", "body", "kind", "busy"),
    [
        (503, "", Unwell, True),
        (529, "", Unwell, True),
        (500, "", Unwell, False),
        (408, "", Unwell, False),
        (429, '{"error": {"message": "m", "code": "insufficient_quota"}}', ResourceError, None),
        (402, "", ResourceError, None),
        (404, '{"error": "gone"}', ResourceError, None),
        (413, "<html>", InputError, None),
    ],
)
def test_what_a_status_stands_for(status, body, kind, busy) -> None:
    error = refusal(status, body, None, "here")
    assert type(error) is kind
    assert error.where == "here"
    if busy is not None:
        assert error.busy == busy
    words = {'{"error": "gone"}': "gone", "<html>": "<html>", "": "no word of why"}
    assert words.get(body, "m") in error.message


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, InputError, "too long"),
        (422, InputError, "too long"),
        (401, ResourceError, KEYS[0]),
        (404, ResourceError, "404"),
    ],
)
async def test_a_refusal_is_not_repeated(upstream, teacher, status, kind, words) -> None:
    upstream.replies = [failing(status, "too long")]
    for asked in (ask(teacher), streamed(teacher)):
        upstream.requests.clear()
        with pytest.raises(kind, match=words):
            await asked
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        web.Response(body=b"<html>"),
        web.Response(body=b"\xff\xfe"),
        [1],
        {},
        {"choices": []},
        {"choices": [{"message": {}}]},
        {"choices": [{"index": 5, "message": {"content": "x"}}]},
        {"choices": [{"index": 0, "message": {"content": "x"}, "logprobs": {"content": [{}]}}]},
        {"error": {"message": "inside"}},
        broken_off,
    ],
    ids=lambda reply: getattr(reply, "__name__", str(reply)),
)
async def test_nonsense_is_a_resource_error(upstream, teacher, reply) -> None:
    upstream.replies = [reply]
    with pytest.raises(ResourceError):
        await ask(teacher)


async def test_nobody_there_is_a_resource_error() -> None:
    teacher = OpenAITeacher("http://127.0.0.1:9/v1", "m", None, pause=0.001)
    with pytest.raises(Unwell, match="can't be reached"):
        await ask(teacher)
    with pytest.raises(ResourceError, match="can't be reached"):
        await streamed(teacher)


async def test_one_prompt_that_fails_stops_the_others(upstream, teacher) -> None:
    upstream.replies = [failing(400, "bad prompt"), GOOD]
    with pytest.raises(InputError, match="bad prompt"):
        await ask(teacher, *["x"] * 60)
    assert len(upstream.requests) < 60


async def test_a_stream(upstream, teacher) -> None:
    upstream.replies = [
        failing(503),
        events(
            {"choices": [{"index": 0, "delta": {"content": "a"}}]},
            {"choices": [{"index": 0, "delta": {"content": "b"}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
        ),
    ]
    first, second, last = await streamed(teacher)
    assert (first.text, second.text, last.text) == ("a", "b", "")
    assert (last.finish, last.prompt_tokens, last.completion_tokens) == ("stop", 3, 2)
    body = upstream.requests[-1][2]
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    "reply",
    [
        events({"choices": [{"index": 0, "delta": {"content": "a"}}]}),
        events(b"nonsense"),
        events({"choices": 5}),
        events({"error": {"message": "fell over"}}),
        events(b"x" * 5_000_000, done=False),
        broken_off,
    ],
)
async def test_a_stream_that_breaks_off_or_makes_no_sense_is_a_resource_error(upstream, teacher, reply) -> None:
    upstream.replies = [reply]
    with pytest.raises(ResourceError):
        await streamed(teacher)


async def test_tools_are_passed_on_and_calls_come_back(upstream, teacher) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    upstream.replies = [{"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}]
    tool = {"type": "function", "function": {"name": "f"}}
    (answer,) = (await ask(teacher, Chat(({"role": "user", "content": "x"},), (tool,), "required")))[0]
    assert answer.tool_calls[0].name == "f"
    assert upstream.requests[0][2]["tools"] == [tool]
    assert upstream.requests[0][2]["tool_choice"] == "required"


def test_openais_own_server_is_told_the_limit_by_its_new_name() -> None:
    for url, name in (("https://api.openai.com/v1", "max_completion_tokens"), ("http://h/v1", "max_tokens")):
        assert OpenAITeacher(url, "m", None).body("x", ONE)[name] == 5
