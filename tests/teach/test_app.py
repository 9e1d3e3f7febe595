from __future__ import annotations

import asyncio
import base64
import io
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import openai
import pytest

from spiritsafe.errors import ResourceError
from spiritsafe.teach.app import LARGEST_BODY, App
from spiritsafe.teach.types import Delta

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "the still"}], "max_tokens": 8, "seed": 1}
TOOL = {
    "type": "function",
    "function": {
        "name": "lock",
        "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
    },
}


@pytest.fixture
async def client(url):
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as opened:
        yield opened


@pytest.fixture
async def post(url):
    """Post a body as it stands: status and the parsed answer."""
    async with aiohttp.ClientSession() as session:

        async def posted(path: str, body: Any) -> tuple[int, Any]:
            data = body if isinstance(body, bytes | io.BytesIO) else json.dumps(body)
            async with session.post(url + path, data=data) as response:
                return response.status, await response.json()

        yield posted


async def test_models_and_health(client, url) -> None:
    assert [model.id for model in (await client.models.list()).data] == ["tiny"]
    assert (await client.models.retrieve("tiny")).id == "tiny"
    with pytest.raises(openai.NotFoundError, match="'tiny' is"):
        await client.models.retrieve("other")
    async with aiohttp.ClientSession() as session, session.get(url.replace("/v1", "/healthz")) as response:
        assert await response.json() == {"status": "ok", "model": "tiny"}


async def test_a_chat(client, teacher) -> None:
    answer = await client.chat.completions.create(**CHAT, n=2, logprobs=True, top_logprobs=2)
    assert answer.object == "chat.completion"
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens <= 16
    first = answer.choices[0].logprobs.content[0]
    assert len(first.top_logprobs) == 2
    assert first.logprob <= 0


async def test_a_stream_says_what_the_whole_says(client) -> None:
    whole = await client.chat.completions.create(**CHAT, n=2, logprobs=True)
    text, tokens, finishes, roles, usage = ["", ""], [[], []], {}, [], None
    stream = await client.chat.completions.create(
        **CHAT, n=2, logprobs=True, stream=True, stream_options={"include_usage": True}
    )
    async for chunk in stream:
        assert chunk.object == "chat.completion.chunk"
        if chunk.usage is not None:
            assert chunk.choices == []
            usage = chunk.usage
        for choice in chunk.choices:
            assert choice.index not in finishes
            text[choice.index] += choice.delta.content or ""
            roles += [choice.delta.role] if choice.delta.role else []
            tokens[choice.index] += [each.token for each in choice.logprobs.content] if choice.logprobs else []
            if choice.finish_reason:
                finishes[choice.index] = choice.finish_reason
    assert text == [choice.message.content for choice in whole.choices]
    assert tokens == [[each.token for each in choice.logprobs.content] for choice in whole.choices]
    assert finishes == {choice.index: choice.finish_reason for choice in whole.choices}
    assert usage == whole.usage
    assert roles == ["assistant"] * 2


async def test_no_usage_chunk_unless_asked(client) -> None:
    chunks = [chunk async for chunk in await client.chat.completions.create(**CHAT, stream=True)]
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_forced_tool_call(client, stream) -> None:
    choice = {"type": "function", "function": {"name": "lock"}}
    asked = {**CHAT, "max_tokens": 60, "tools": [TOOL], "tool_choice": choice}
    if not stream:
        answer = await client.chat.completions.create(**asked)
        (call,) = answer.choices[0].message.tool_calls
        assert answer.choices[0].message.content is None
        finish = answer.choices[0].finish_reason
        name, arguments = call.function.name, call.function.arguments
    else:
        name, arguments, finish = "", "", None
        async for chunk in await client.chat.completions.create(**asked, stream=True):
            for part in chunk.choices[0].delta.tool_calls or ():
                name += part.function.name or ""
                arguments += part.function.arguments or ""
            finish = chunk.choices[0].finish_reason or finish
    assert (name, finish) == ("lock", "tool_calls")
    assert set(json.loads(arguments)) == {"on"}


async def test_a_json_schema(client) -> None:
    schema = {"name": "s", "schema": {"enum": ["yes", "no"]}}
    answer = await client.chat.completions.create(
        **CHAT, response_format={"type": "json_schema", "json_schema": schema}
    )
    assert json.loads(answer.choices[0].message.content) in ("yes", "no")


async def test_completions_whole_and_streamed(client) -> None:
    asked = {"model": "tiny", "prompt": ["the still", "the safe"], "n": 2, "seed": 3, "max_tokens": 6, "logprobs": 1}
    whole = await client.completions.create(**asked)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    for choice in whole.choices:
        assert len(choice.logprobs.tokens) == len(choice.logprobs.token_logprobs) == len(choice.logprobs.text_offset)
    text, offsets = [""] * 4, [[], [], [], []]
    async for chunk in await client.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            text[choice.index] += choice.text
            offsets[choice.index] += choice.logprobs.text_offset
    assert text == [choice.text for choice in whole.choices]
    assert offsets == [choice.logprobs.text_offset for choice in whole.choices]
    alone = await client.completions.create(**{**asked, "prompt": "the safe", "n": 1})
    assert alone.choices[0].text == whole.choices[2].text
    assert whole.usage.prompt_tokens > alone.usage.prompt_tokens


async def test_embeddings(client, post) -> None:
    answer = await client.embeddings.create(model="tiny", input=["a", "b"], encoding_format="float")
    assert [each.index for each in answer.data] == [0, 1]
    assert sum(value * value for value in answer.data[0].embedding) == pytest.approx(1, abs=1e-4)
    assert answer.usage.prompt_tokens == 2
    _, packed = await post("/embeddings", {"model": "tiny", "input": "a", "encoding_format": "base64"})
    data = base64.b64decode(packed["data"][0]["embedding"])
    assert struct.unpack(f"<{len(data) // 4}f", data) == pytest.approx(answer.data[0].embedding, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"temperature": 5}, "temperature"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [5]}, "messages[0]"),
        ({"n": "two"}, "n"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
        ({"messages": [{"content": "x"}]}, "messages"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format"),
    ],
    ids=str,
)
async def test_a_wrong_field_is_400_and_named(post, change, param) -> None:
    for stream in (False, True):
        status, body = await post("/chat/completions", CHAT | change | {"stream": stream})
        assert status == 400
        assert body["error"]["type"] == "invalid_request_error"
        assert body["error"]["param"] == param
        assert body["error"]["message"]


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b'{"model": "\xff"}', b"[1]", b"null"], ids=repr)
async def test_a_body_that_is_no_json_object_is_400(post, body) -> None:
    for path in ("/chat/completions", "/completions", "/embeddings"):
        status, answer = await post(path, body)
        assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


async def test_a_context_too_long_is_400_with_its_code(client) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(**{**CHAT, "messages": [{"role": "user", "content": "🥃" * 600}]})
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as caught:
        await client.completions.create(model="tiny", prompt=["a", "🥃" * 600])
    assert caught.value.code == "context_length_exceeded"


async def test_another_model_is_404(client) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(**{**CHAT, "model": "gpt-9"})
    assert caught.value.code == "model_not_found"


async def test_paths_and_methods_that_are_not_there(url) -> None:
    async with aiohttp.ClientSession() as session:
        for method, path, status in (
            ("GET", "/nothing", 404),
            ("GET", "/chat/completions", 405),
            ("POST", "/models", 405),
        ):
            async with session.request(method, url + path) as response:
                assert response.status == status
                assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_a_body_that_is_too_large_is_413(post) -> None:
    status, body = await post("/chat/completions", io.BytesIO(b" " * (LARGEST_BODY + 1)))
    assert (status, body["error"]["type"]) == (413, "invalid_request_error")


class Scripted:
    """A teacher whose stream is written down; ``left`` is set when it is closed early."""

    name, access, tokenizer = "tiny", "text", None

    def __init__(self, *events: Delta | Exception, endless: bool = False) -> None:
        self.events, self.endless, self.left = events, endless, asyncio.Event()

    async def stream(self, prompt, sampling, marks=()) -> AsyncIterator[Delta]:
        try:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                yield event
            if self.endless:
                await asyncio.Event().wait()
        finally:
            self.left.set()


class Caller:
    """One request to the app, by hand: so that the client can go away at will."""

    def __init__(self, app: App, body: dict[str, Any], path: str = "/v1/chat/completions") -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.gone = asyncio.Event()
        self._body: bytes | None = json.dumps(body).encode()
        scope = {"type": "http", "method": "POST", "path": path}
        self.task = asyncio.create_task(app(scope, self._receive, self.sent.put))

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body}
        await self.gone.wait()
        return {"type": "http.disconnect"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_stops_the_drawing(stream, path) -> None:
    teacher = Scripted(Delta(choice=0, text="a"), endless=True)
    caller = Caller(App(teacher), {**CHAT, "prompt": "x", "stream": stream}, path)
    if stream:
        assert (await caller.sent.get())["status"] == 200
        await caller.sent.get()
    else:
        await asyncio.sleep(0)
    caller.gone.set()
    await asyncio.wait_for(caller.task, 10)
    assert teacher.left.is_set()


async def test_a_real_client_that_goes_away_frees_its_place_in_the_batch(client, teacher) -> None:
    async with await client.chat.completions.create(**{**CHAT, "max_tokens": 400}, stream=True) as stream:
        await anext(aiter(stream))
    before = teacher._engine.forwards
    await client.chat.completions.create(**{**CHAT, "max_tokens": 2})
    assert teacher._engine.forwards - before < 100


async def test_a_teacher_that_fails_is_503_or_an_error_in_the_stream() -> None:
    error = ResourceError("it fell over", remedy="Pick it up.")
    caller = Caller(App(Scripted(error)), CHAT | {"stream": True})
    await caller.task
    assert (await caller.sent.get())["status"] == 503
    assert json.loads((await caller.sent.get())["body"])["error"]["type"] == "server_error"
    caller = Caller(App(Scripted(Delta(choice=0, text="a"), error)), CHAT | {"stream": True})
    await caller.task
    sent = []
    while not caller.sent.empty():
        sent.append(caller.sent.get_nowait())
    assert sent[0]["status"] == 200
    events = b"".join(each["body"] for each in sent[1:]).split(b"\n\n")
    assert json.loads(events[-3].removeprefix(b"data: "))["error"]["message"] == "it fell over. Pick it up."
    assert events[-2] == b"data: [DONE]"


async def test_one_failing_prompt_of_several_fails_the_request_at_once() -> None:
    class Half(Scripted):
        async def stream(self, prompt, sampling, marks=()):
            self.endless = prompt.text == "waits"
            if not self.endless:
                raise ResourceError("it fell over", remedy="Pick it up.")
            async for delta in super().stream(prompt, sampling):
                yield delta

    caller = Caller(App(Half()), {"model": "tiny", "prompt": ["waits", "fails"]}, "/v1/completions")
    await asyncio.wait_for(caller.task, 10)
    assert (await caller.sent.get())["status"] == 503


async def test_a_teacher_without_embeddings_is_404() -> None:
    caller = Caller(App(Scripted()), {"model": "tiny", "input": "x"}, "/v1/embeddings")
    await caller.task
    assert (await caller.sent.get())["status"] == 404


async def test_other_protocols_are_not_served() -> None:
    with pytest.raises(ValueError, match="websocket"):
        await App(Scripted())({"type": "websocket"}, None, None)


class Stamp:
    """A marker that gives every tenant a teacher whose likeliest token is its own."""

    mark_id = "stamp@1"

    def of(self, teacher: Any, tenant: str | None) -> Any:
        letter = (tenant or "none")[0]
        (token,) = teacher.tokenizer.encode(letter, add_special_tokens=False)[:1]

        class Only:
            stage = "logits"

            def __call__(self, logits: Any, context: Any) -> Any:
                logits[:token] = logits[token + 1 :] = float("-inf")
                return logits

        class Marked:
            name, tokenizer, access = teacher.name, teacher.tokenizer, teacher.access

            def stream(self, prompt: Any, sampling: Any, marks: Any = ()) -> Any:
                return teacher.stream(prompt, sampling, (Only(), *marks))

        return Marked()


@pytest.mark.parametrize("stream", [False, True])
async def test_with_a_marker_each_tenant_gets_its_own_mark_and_is_told_which(teacher, stream) -> None:
    app = App(teacher, Stamp())
    for tenant, letter in ((b"acme", "a"), (b"zebra", "z"), (None, "n")):
        sent = await _asked(app, {**CHAT, "stream": stream}, tenant)
        assert dict(sent[0]["headers"])[b"x-spiritsafe-mark"] == b"stamp@1"
        body = b"".join(message.get("body", b"") for message in sent[1:])
        assert (letter * 8).encode() in body if not stream else body.count(b'"content":"' + letter.encode()) == 8


async def test_without_a_marker_and_on_errors_nothing_is_said_of_a_mark(teacher) -> None:
    for app, body in ((App(teacher), CHAT), (App(teacher, Stamp()), {**CHAT, "model": "other"})):
        sent = await _asked(app, body, None)
        assert b"x-spiritsafe-mark" not in dict(sent[0]["headers"])


async def _asked(app: App, body: Any, tenant: bytes | None) -> list[Any]:
    sent: list[Any] = []
    gone = asyncio.Event()
    pieces = iter([{"type": "http.request", "body": json.dumps(body).encode()}])

    async def receive() -> Any:
        piece = next(pieces, None)
        if piece is None:
            await gone.wait()
            return {"type": "http.disconnect"}
        return piece

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [] if tenant is None else [(b"x-spiritsafe-tenant", tenant)]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
    await app(scope, receive, send)
    return sent
