"""A suspect behind any server that speaks OpenAI's API: ``openai:URL#model``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import msgspec

from spiritsafe.errors import InputError, ResourceError, SpiritsafeError, UsageError
from spiritsafe.prove.replies import reply_of, spelled
from spiritsafe.prove.suspect import Identity, Reply, Scored, lacking
from spiritsafe.teach.openai import OpenAITeacher, open_url, refusal
from spiritsafe.teach.types import Access, Options, Prompt, Sampling, Tokenizer, Unwell

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 8
PATIENCE = aiohttp.ClientTimeout(total=600, sock_connect=10)
PROBE = "The quick brown fox jumps over the lazy dog."


def open_api(rest: str, *, attempts: int = 8) -> ApiSuspect:
    """Open ``URL#model``. Its access is ``logprobs`` where the server tells the probability of a given text."""
    return ApiSuspect(open_url(rest, Options(attempts=attempts)), attempts=attempts)


class ApiSuspect:
    """Asks over HTTP, eight questions at a time. A server that is busy is asked again after what its Retry-After says.

    The probability of a given text comes from ``/completions`` with ``echo`` (vLLM and others have it): there the
    prompt is plain text, since the model's chat template is not known. That weakens the test and can't bias it: the
    two answers of a pair stand after the same words.
    """

    chunk = 1
    at_once = AT_ONCE

    def __init__(self, teacher: OpenAITeacher, *, attempts: int = 8, pause: float = 0.5) -> None:
        self._teacher = teacher
        self._attempts = attempts
        self._pause = pause
        self.identity = Identity(name=teacher.name, kind=f"api {teacher.url}")
        self.tokenizer: Tokenizer | None = None
        self.access: Access = "logprobs" if self._echoes() else "text"

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling]) -> list[list[Reply]]:
        """See ``Suspect.generate``."""
        samplings = [sampling] * len(prompts) if isinstance(sampling, Sampling) else list(sampling)
        return _at_once(self._ask, list(zip(prompts, samplings, strict=True)))

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        """See ``Suspect.score``."""
        if self.access == "text":
            raise lacking(self.identity, self.access, "logprobs")
        return _at_once(self._scored, list(pairs))

    def likeliest(self, ids: Sequence[int]) -> list[int]:
        """Raises ``UsageError``: there is no access to weights."""
        raise lacking(self.identity, self.access, "weights")

    def distributions(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Raises ``UsageError``: there is no access to weights."""
        raise lacking(self.identity, self.access, "weights")

    def close(self) -> None:
        """Nothing is kept open between requests."""

    def _ask(self, asked: tuple[Prompt, Sampling]) -> list[Reply]:
        prompt, sampling = asked
        try:
            return [reply_of(answer) for answer in self._teacher.generate([prompt], sampling)[0]]
        except InputError as error:
            return [Reply(text="", ending="refused", trouble=error.message)]

    def _scored(self, pair: tuple[Prompt, str]) -> Scored:
        prompt, text = pair
        before = spelled(prompt)
        if not text:
            return Scored(())
        try:
            return _after(asyncio.run(self._echo(before + text)), len(before), self._teacher.url)
        except InputError:
            return Scored(())

    def _echoes(self) -> bool:
        """Whether the server gives the log-probabilities of what it is given; asked once."""
        try:
            return bool(_after(asyncio.run(self._echo(PROBE)), 0, self._teacher.url).logprobs)
        except Unwell:
            raise
        except SpiritsafeError:
            return False

    async def _echo(self, text: str) -> Any:
        body = {"model": self._teacher.name, "prompt": text, "echo": True, "logprobs": 0, "max_tokens": 1}
        url = f"{self._teacher.url}/completions"
        async with aiohttp.ClientSession(headers=self._teacher.headers, timeout=PATIENCE) as session:
            for attempt in range(1, self._attempts + 1):
                trouble: SpiritsafeError
                try:
                    async with session.post(url, json=body) as response:
                        said = await response.text(errors="replace")
                        if response.status == 200:
                            return _json(said, self._teacher.url)
                        trouble = refusal(response.status, said, response.headers.get("retry-after"), url)
                except (aiohttp.ClientError, TimeoutError) as error:
                    trouble = Unwell(f"can't be reached: {error}", where=url, remedy="Check that it is up and well.")
                if attempt == self._attempts or not isinstance(trouble, Unwell):
                    raise trouble
                await asyncio.sleep(min(trouble.retry_after or self._pause * 2 ** (attempt - 1), 60.0))
        raise UsageError("a suspect is asked at least once", remedy="Give attempts of 1 or more.")


def _at_once(work: Callable[[T], R], items: list[T]) -> list[R]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, items))


def _json(text: str, where: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ResourceError(f"what came back is not JSON: {error}", where=where, remedy="Check the URL.") from error


def _after(body: Any, start: int, where: str) -> Scored:
    """The log-probabilities of the tokens that begin at character ``start`` or later, without the one drawn last."""
    try:
        told = body["choices"][0]["logprobs"]
        tokens, logprobs = told["tokens"], told["token_logprobs"]
        begins = told.get("text_offset") or [0, *accumulate(map(len, tokens))][:-1]
        each = list(zip(begins, logprobs, strict=False))[:-1]
        return Scored(tuple(round(float(value), 6) for at, value in each if at >= start and value is not None))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ResourceError(
            f"the server does not tell the probability of a given text: {error!r}",
            where=where,
            remedy="Use a test that needs text alone.",
        ) from error
