"""An OpenAI-compatible API for any teacher, as a plain ASGI app."""

from __future__ import annotations

import asyncio
import base64
import struct
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

import msgspec

from spiritsafe.errors import InputError, SpiritsafeError, UsageError
from spiritsafe.teach import wire
from spiritsafe.teach.answers import Collector
from spiritsafe.teach.types import ContextTooLong, Delta, Json, Marker, Raw, Teacher

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
S = TypeVar("S", bound=msgspec.Struct)

LARGEST_BODY = 32 * 2**20
TENANT = b"x-spiritsafe-tenant"
"""The header by which a gateway says for whom it asks; a marker may mark by it."""
MARK = b"x-spiritsafe-mark"
"""The header that names the mark on an answer."""


class _Reply(Exception):
    """Carries the answer to a request that ends early."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class App:
    """Serves one teacher. A client that goes away stops its drawing; a bad request is 400 in OpenAI's error shape.

    With a ``marker`` every answer is marked, and a header of it says how.
    """

    def __init__(self, teacher: Teacher, marker: Marker | None = None) -> None:
        self._teacher = teacher
        self._marker = marker
        self._created = int(time.time())
        self._posts: dict[str, Callable[[Teacher, bytes, Send], Coroutine[Any, Any, None]]] = {
            "/v1/chat/completions": self._chat,
            "/v1/completions": self._complete,
            "/v1/embeddings": self._embed,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request (other protocols are not served)."""
        if scope["type"] != "http":
            raise ValueError(f"this app serves HTTP, not {scope['type']}")
        try:
            await self._serve(scope, receive, send)
        except _Reply as reply:
            await _send_json(send, reply.status, reply.body)
        except SpiritsafeError as error:
            await _send_json(send, *_shaped(error))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        post = self._posts.get(path)
        gettable = path in ("/healthz", "/v1/models") or path.startswith("/v1/models/")
        if post is not None and method == "POST":
            teacher, send = self._marked(scope, send)
            await _while_connected(receive, post(teacher, await _body(receive), send))
        elif gettable and method in ("GET", "HEAD"):
            await _send_json(send, 200, self._get(path))
        elif post is not None or gettable:
            raise _Reply(405, wire.error_body(f"{method} is not allowed here", "invalid_request_error"))
        else:
            raise _Reply(404, wire.error_body(f"there is nothing at {path}", "invalid_request_error", "not_found"))

    def _marked(self, scope: Scope, send: Send) -> tuple[Teacher, Send]:
        """The teacher for whoever asks, and a way to answer that names the mark."""
        marker = self._marker
        if marker is None or scope["path"] == "/v1/embeddings":
            return self._teacher, send
        tenant = next((value.decode("latin-1") for name, value in scope["headers"] if name == TENANT), None)
        named = (MARK, marker.mark_id.encode("latin-1"))

        async def send_named(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                message = {**message, "headers": [*message["headers"], named]}
            await send(message)

        return marker.of(self._teacher, tenant), send_named

    def _get(self, path: str) -> Json:
        if path == "/healthz":
            return {"status": "ok", "model": self._teacher.name}
        model = {"id": self._teacher.name, "object": "model", "created": self._created, "owned_by": "spiritsafe"}
        if path == "/v1/models":
            return {"object": "list", "data": [model]}
        self._check_model(path.removeprefix("/v1/models/"))
        return model

    def _check_model(self, name: str) -> None:
        if name != self._teacher.name:
            message = f"the model {name!r} is not served here; {self._teacher.name!r} is"
            raise _Reply(404, wire.error_body(message, "invalid_request_error", "model_not_found", "model"))

    async def _chat(self, teacher: Teacher, body: bytes, send: Send) -> None:
        request = _read(body, wire.ChatRequest)
        self._check_model(request.model)
        sampling, logprobs, usage = request.sampling(), bool(request.logprobs), wire.Usage()
        deltas = teacher.stream(request.chat(), sampling)
        head = _head("chatcmpl", "chat.completion", self._teacher.name)
        if not request.stream:
            collector = Collector(sampling.n)
            async for delta in deltas:
                collector.add(delta)
            answers = collector.answers()
            for answer in answers:
                usage.add(0, answer)
            choices = [wire.chat_choice(answer, logprobs=logprobs) for answer in answers]
            await _send_json(send, 200, {**head, "choices": choices, "usage": usage.wire()})
            return
        await _send_events(
            send,
            _chat_chunks(deltas, {**head, "object": "chat.completion.chunk"}, usage, logprobs=logprobs),
            usage if request.include_usage else None,
            {**head, "object": "chat.completion.chunk"},
        )

    async def _complete(self, teacher: Teacher, body: bytes, send: Send) -> None:
        request = _read(body, wire.CompletionRequest)
        self._check_model(request.model)
        prompts, sampling, usage = request.prompts(), request.sampling(), wire.Usage()
        logprobs = request.logprobs is not None
        streams = [teacher.stream(Raw(prompt), sampling) for prompt in prompts]
        head = _head("cmpl", "text_completion", self._teacher.name)
        if not request.stream:
            collectors = [Collector(sampling.n) for _ in prompts]
            async for at, delta in _merged(streams):
                collectors[at].add(delta)
            choices = []
            for at, collector in enumerate(collectors):
                for answer in collector.answers():
                    usage.add(at, answer)
                    choices.append(
                        wire.text_choice(answer, at * sampling.n + answer.choice, wire.Offsets() if logprobs else None)
                    )
            await _send_json(send, 200, {**head, "choices": choices, "usage": usage.wire()})
            return
        chunks = _text_chunks(_merged(streams), head, usage, n=sampling.n, logprobs=logprobs)
        await _send_events(send, chunks, usage if request.include_usage else None, head)

    async def _embed(self, teacher: Teacher, body: bytes, send: Send) -> None:
        request = _read(body, wire.EmbeddingsRequest)
        self._check_model(request.model)
        texts, tokenizer = request.texts(), teacher.tokenizer
        if teacher.access != "weights" or tokenizer is None:
            message = f"{self._teacher.name} gives no embeddings here"
            raise _Reply(404, wire.error_body(message, "invalid_request_error", "not_found"))
        vectors = await asyncio.to_thread(teacher.embed, texts)
        plain = request.encoding_format != "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": vector if plain else _packed(vector)}
            for index, vector in enumerate(vectors)
        ]
        count = sum(len(tokenizer.encode(text)) for text in texts)
        usage = {"prompt_tokens": count, "total_tokens": count}
        await _send_json(send, 200, {"object": "list", "data": data, "model": self._teacher.name, "usage": usage})


async def _chat_chunks(
    deltas: AsyncIterator[Delta], head: Json, usage: wire.Usage, *, logprobs: bool
) -> AsyncIterator[Json]:
    calls: dict[int, int] = {}
    async for delta in deltas:
        usage.add(0, delta)
        if delta.choice not in calls:
            calls[delta.choice] = 0
            opening = {"role": "assistant", "content": "", "refusal": None}
            yield {**head, "choices": [{"index": delta.choice, "delta": opening, "finish_reason": None}]}
        shown = msgspec.structs.replace(delta, finish=None)
        if delta.text or delta.reasoning or delta.tokens or delta.tool_calls:
            yield {**head, "choices": [wire.chat_delta(shown, logprobs=logprobs, first_call=calls[delta.choice])]}
            calls[delta.choice] += len(delta.tool_calls)
        if delta.finish is not None:
            last = Delta(choice=delta.choice, finish=delta.finish)
            yield {**head, "choices": [wire.chat_delta(last, logprobs=False, first_call=0)]}


async def _text_chunks(
    deltas: AsyncIterator[tuple[int, Delta]], head: Json, usage: wire.Usage, *, n: int, logprobs: bool
) -> AsyncIterator[Json]:
    offsets: dict[int, wire.Offsets] = {}
    async for at, delta in deltas:
        usage.add(at, delta)
        index = at * n + delta.choice
        place = offsets.setdefault(index, wire.Offsets()) if logprobs else None
        yield {**head, "choices": [wire.text_choice(delta, index, place)]}


async def _merged(streams: list[AsyncIterator[Delta]]) -> AsyncIterator[tuple[int, Delta]]:
    """Every stream's deltas with its number, as they come; the first error ends all of them."""
    ready: asyncio.Queue[tuple[int, Delta] | int] = asyncio.Queue()

    async def drain(at: int) -> None:
        try:
            async for delta in streams[at]:
                ready.put_nowait((at, delta))
        finally:
            ready.put_nowait(at)

    tasks = [asyncio.create_task(drain(at)) for at in range(len(streams))]
    try:
        open_streams = len(tasks)
        while open_streams:
            item = await ready.get()
            if isinstance(item, int):
                await tasks[item]
                open_streams -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()


async def _send_events(send: Send, chunks: AsyncIterator[Json], usage: wire.Usage | None, head: Json) -> None:
    """Server-sent events. The first chunk is awaited before the status is sent: a request that fails gets its own."""
    first = await anext(chunks, None)
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def event(value: Json) -> None:
        data = b"data: " + msgspec.json.encode(value) + b"\n\n"
        await send({"type": "http.response.body", "body": data, "more_body": True})

    # Where usage is asked for, every other chunk says that it has none, as OpenAI's do.
    extra: Json = {} if usage is None else {"usage": None}
    try:
        if first is not None:
            await event({**first, **extra})
        async for chunk in chunks:
            await event({**chunk, **extra})
    except SpiritsafeError as error:
        await event(_shaped(error)[1])
    else:
        if usage is not None:
            await event({**head, "choices": [], "usage": usage.wire()})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})


async def _send_json(send: Send, status: int, body: Json) -> None:
    data = msgspec.json.encode(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def _body(receive: Receive) -> bytes:
    data = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Reply(400, wire.error_body("the client went away", "invalid_request_error"))
        data += message.get("body", b"")
        if len(data) > LARGEST_BODY:
            raise _Reply(413, wire.error_body(f"a body may have {LARGEST_BODY} bytes", "invalid_request_error"))
        if not message.get("more_body"):
            return bytes(data)


async def _while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` until it is done or the client has gone; then it is cancelled, and with it the drawing."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    task, watch = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
    finally:
        watch.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
    if not task.cancelled():
        task.result()


def _read(body: bytes, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        param = where.rstrip("`") or None
        message = f"{param}: {what}" if param else what
        raise _Reply(400, wire.error_body(message, "invalid_request_error", "invalid_value", param)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Reply(400, wire.error_body(f"the body is not JSON: {error}", "invalid_request_error")) from error


def _shaped(error: SpiritsafeError) -> tuple[int, Json]:
    """Status and body for one of our errors: the caller's are 400, a teacher that is not well is 503."""
    if isinstance(error, InputError | UsageError):
        code = error.code if isinstance(error, ContextTooLong) else "invalid_value"
        return 400, wire.error_body(str(error), "invalid_request_error", code, error.where)
    return 503, wire.error_body(str(error), "server_error", error.code)


def _head(prefix: str, kind: str, model: str) -> Json:
    return {"id": f"{prefix}-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
