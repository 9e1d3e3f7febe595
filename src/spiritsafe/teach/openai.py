"""``openai:URL#model``: a teacher behind any server that speaks OpenAI's API."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError

from spiritsafe.errors import InputError, ResourceError, SpiritsafeError, UsageError
from spiritsafe.teach.answers import Collector
from spiritsafe.teach.openai_wire import StreamReader, request_body, whole_deltas
from spiritsafe.teach.types import (
    Access,
    Answer,
    Delta,
    Json,
    Options,
    Processor,
    Prompt,
    Raw,
    Sampling,
    Tokenizer,
    Unwell,
)

if TYPE_CHECKING:
    from torch import Tensor

KEYS = ("SPIRITSAFE_TEACHER_KEY", "OPENAI_API_KEY")
LONGEST_WAIT = 60.0
AT_ONCE = 8
BUSY = frozenset((429, 503, 529))
# A 429 with one of these is about money: waiting does not help.
USED_UP = frozenset(("insufficient_quota", "billing_hard_limit_reached"))
CALLERS_FAULT = frozenset((400, 413, 422))


def open_url(rest: str, options: Options) -> OpenAITeacher:
    """Open ``URL#model``: the URL up to and with ``/v1``. The key is read from the environment (``KEYS``), if any."""
    url, _, model = rest.partition("#")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or not model:
        raise UsageError(
            f"'openai:{rest}' names no server and model",
            remedy="Give openai:URL#model, as openai:http://host:8000/v1#name.",
        )
    key = next((value for name in KEYS if (value := os.environ.get(name))), None)
    return OpenAITeacher(url.rstrip("/"), model, key, attempts=options.attempts)


class OpenAITeacher:
    """Asks over HTTP. Its logits are not ours, so it can't be marked; logprobs come where the server gives them.
    ``url`` is the server's, up to and with ``/v1``; ``headers`` carry the key.

    ``generate`` has up to 8 requests under way. A busy or failing server is asked again, up to ``attempts`` times,
    after what its Retry-After says or else after a doubling pause; a stream only before its first byte.
    """

    access: Access = "logprobs"

    def __init__(self, url: str, model: str, key: str | None, *, attempts: int = 6, pause: float = 0.5) -> None:
        self.name = model
        self.terms_id = model
        self.context_length: int | None = None
        self.tokenizer: Tokenizer | None = None
        self.url = url
        self.headers = {"authorization": f"Bearer {key}"} if key else {}
        self._attempts = attempts
        self._pause = pause

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling], marks: Sequence[Processor] = ()
    ) -> list[list[Answer]]:
        """See ``Teacher.generate``."""
        _refuse_marks(marks)
        samplings = [sampling] * len(prompts) if isinstance(sampling, Sampling) else list(sampling)
        if len(samplings) != len(prompts):
            raise UsageError(
                f"{len(prompts)} prompts and {len(samplings)} samplings", remedy="Give one sampling, or one a prompt."
            )
        work = self._generate(prompts, samplings)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(work)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, work).result()

    async def stream(self, prompt: Prompt, sampling: Sampling, marks: Sequence[Processor] = ()) -> AsyncIterator[Delta]:
        """See ``Teacher.stream``."""
        _refuse_marks(marks)
        body = self.body(prompt, sampling)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        reader = StreamReader(sampling.n)
        async with _session(self.headers) as session, self._asked(session, _path(prompt), body) as response:
            try:
                async for line in response.content:
                    if line.startswith(b"data:"):
                        for delta in reader.read(self._json(line[5:])) if line[5:].strip() != b"[DONE]" else ():
                            yield delta
            except (aiohttp.ClientError, HttpProcessingError, TimeoutError, ValueError) as error:
                raise self._broken(f"the stream broke off: {error or type(error).__name__}") from error
        for delta in reader.finish():
            yield delta
        if not reader.complete:
            raise self._broken("the stream ended before the answer did")

    def logits(self, ids: Sequence[int]) -> Tensor:
        """Raises UsageError: there is no access to weights."""
        raise UsageError(f"{self.name} gives no logits", remedy="Open the weights themselves: hf:FOLDER or gguf:FILE.")

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Raises UsageError: this teacher only answers."""
        raise UsageError(f"{self.name} gives no embeddings here", remedy="Use hf:FOLDER, gguf:FILE or smollm2.")

    def close(self) -> None:
        """Nothing is kept open between requests."""

    async def _generate(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Answer]]:
        gate = asyncio.Semaphore(AT_ONCE)
        async with _session(self.headers) as session:

            async def one(prompt: Prompt, sampling: Sampling) -> list[Answer]:
                async with gate, self._asked(session, _path(prompt), self.body(prompt, sampling)) as response:
                    try:
                        data = await response.read()
                    except (aiohttp.ClientError, TimeoutError) as error:
                        raise self._broken(f"the answer broke off: {error or type(error).__name__}") from error
                return self.read(self._json(data), sampling)

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(one(*pair)) for pair in zip(prompts, samplings, strict=True)]
            except* (InputError, ResourceError) as errors:
                first: BaseException = errors
                while isinstance(first, BaseExceptionGroup):
                    first = first.exceptions[0]
                raise first from None
            return [task.result() for task in tasks]

    def read(self, body: Json, sampling: Sampling) -> list[Answer]:
        """The answers in what the server sent. Raises Unwell for anything else."""
        collector = Collector(sampling.n)
        try:
            done = [collector.add(delta) for delta in whole_deltas(body)]
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise self._broken(f"the answer makes no sense: {error!r}") from error
        if not done or not done[-1]:
            raise self._broken(f"{len(done)} of {sampling.n} choices came back")
        return collector.answers()

    def body(self, prompt: Prompt, sampling: Sampling) -> Json:
        """What the server is sent for a prompt."""
        official = urlsplit(self.url).hostname == "api.openai.com"
        return request_body(self.name, prompt, sampling, limit="max_completion_tokens" if official else "max_tokens")

    @asynccontextmanager
    async def _asked(
        self, session: aiohttp.ClientSession, path: str, body: Json
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response with status 200, after as many attempts as it takes; what the server refuses is raised."""
        data = msgspec.json.encode(body)
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                response = await session.post(self.url + path, data=data)
            except (aiohttp.ClientError, TimeoutError) as error:
                if last:
                    raise self._broken(f"can't be reached: {error or type(error).__name__}") from error
                await asyncio.sleep(self._wait(None, attempt))
                continue
            async with response:
                if response.status == 200:
                    yield response
                    return
                trouble = await refused(response, self.url)
            if last or not isinstance(trouble, Unwell):
                raise trouble
            await asyncio.sleep(self._wait(trouble.retry_after, attempt))

    def _wait(self, retry_after: float | None, attempt: int) -> float:
        """Seconds until the next attempt; a server's word is kept up to a minute."""
        if retry_after is not None:
            return min(retry_after, LONGEST_WAIT)
        # Spread, so that many who were refused together do not come back together.
        return min(float(self._pause * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)), LONGEST_WAIT)  # noqa: S311

    def _json(self, data: bytes) -> Json:
        try:
            body: Any = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._broken(f"what came back is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise self._broken("what came back is not a JSON object")
        if body.get("error"):
            raise self._broken(_message(msgspec.json.encode(body).decode()))
        return body

    def _broken(self, message: str) -> Unwell:
        return Unwell(message, where=self.url, remedy="Check that the teacher's server is up and well.")


async def refused(response: aiohttp.ClientResponse, where: str) -> SpiritsafeError:
    """The error that a response other than 200 stands for."""
    try:
        text = (await response.read()).decode("utf-8", "replace")
    except (aiohttp.ClientError, TimeoutError):
        text = ""
    return refusal(response.status, text, response.headers.get("retry-after"), where)


def refusal(status: int, text: str, retry_after: str | None, where: str) -> SpiritsafeError:
    """The error that a status other than 200 stands for: Unwell if asking again may help, InputError if the request
    is at fault, else another ResourceError.
    """
    message = f"{status}: {_message(text)}"
    if status in CALLERS_FAULT:
        return InputError(message, where=where, remedy="Change the request: the teacher will not take it as it is.")
    if status in (401, 403):
        return ResourceError(message, where=where, remedy=f"Set {KEYS[0]} to a key that may use this model.")
    if status == 402 or _field(text, "code") in USED_UP or _field(text, "type") in USED_UP:
        return ResourceError(message, where=where, remedy="Add to the account's credit, or raise its limit.")
    if status in (408, 409, 425, 429) or status >= 500:
        return Unwell(
            message,
            where=where,
            remedy="Check that the teacher's server is up and well.",
            busy=status in BUSY,
            retry_after=_seconds(retry_after) if retry_after else None,
        )
    return ResourceError(message, where=where, remedy="Check the URL and the model's name.")


def _session(headers: dict[str, str]) -> aiohttp.ClientSession:
    # An answer that is not streamed may take minutes to begin.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=600)
    return aiohttp.ClientSession(
        headers={"content-type": "application/json", **headers}, timeout=timeout, read_bufsize=2**20
    )


def _path(prompt: Prompt) -> str:
    return "/completions" if isinstance(prompt, Raw) else "/chat/completions"


def _refuse_marks(marks: Sequence[Processor]) -> None:
    if marks:
        raise UsageError(
            "a teacher behind an API can't be marked while it draws",
            remedy="Choose among several of its answers instead.",
        )


def _seconds(retry_after: str) -> float | None:
    """Retry-After is a number of seconds or a date (RFC 9110, section 10.2.3)."""
    try:
        return max(float(retry_after), 0.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _message(text: str) -> str:
    """The message in an error of OpenAI's shape, else the beginning of the text."""
    return _field(text, "message") or text.strip()[:200] or "no word of why"


def _field(text: str, name: str) -> str | None:
    """What an error of OpenAI's shape says under ``name``; one that is a bare string is its own message."""
    try:
        error = msgspec.json.decode(text).get("error")
    except (msgspec.DecodeError, AttributeError):
        return None
    if isinstance(error, str):
        return error if name == "message" else None
    value = error.get(name) if isinstance(error, dict) else None
    return None if value is None else str(value)
