"""The actors: every account of the cast asks over HTTP with the official client, until the play is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Literal

import msgspec
import openai
from openai import AsyncOpenAI

from spiritsafe.drill.grammar import seeded
from spiritsafe.drill.scenario import RING

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

    from spiritsafe.drill.scenario import Actor, Scenario
    from spiritsafe.drill.tenants import Ask

Outcome = Literal["served", "refused", "failed"]

STREAMING = frozenset({"person", "student", RING})
SHORTEST = 6
"""Tokens that an answer may have at least, however brief the drill."""

PATIENCE = 120.0
"""Seconds that a client waits for an answer before it counts as failed."""


class Played(msgspec.Struct, frozen=True):
    """One request as its client saw it; ``at`` is seconds from the start, ``place`` the harvested task.

    ``code`` is the API's error code or the kind of failure.
    """

    at: float
    actor: str
    outcome: Outcome
    seconds: float
    tokens: int
    prompt: str
    place: int | None = None
    code: str = ""


class Stop:
    """Says when the play is over; every actor looks before it asks again."""

    def __init__(self) -> None:
        self._over = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether nobody may start another request."""
        return self._over.is_set()

    def now(self) -> None:
        """Let the running answers end, and start no more."""
        self._over.set()

    async def pause(self, seconds: float) -> None:
        """Sleep, but not past the end."""
        try:
            await asyncio.wait_for(self._over.wait(), seconds)
        except TimeoutError:
            return


async def play(
    scenario: Scenario,
    base_url: str,
    secrets: Mapping[str, str],
    model: str,
    stop: Stop,
    tell: Callable[[Played], None],
    began: float,
) -> None:
    """Run every actor until ``stop``; each request is told to ``tell`` as soon as it has ended.

    ``secrets`` has each actor's API key by name; ``began`` is the ``time.monotonic()`` of second 0.
    """
    async with asyncio.TaskGroup() as group:
        for actor in scenario.actors:
            group.create_task(_act(scenario, actor, base_url, secrets[actor.name], model, stop, tell, began))


async def _act(
    scenario: Scenario,
    actor: Actor,
    base_url: str,
    secret: str,
    model: str,
    stop: Stop,
    tell: Callable[[Played], None],
    began: float,
) -> None:
    rng = seeded(f"pace/{actor.seed}")
    headers = {"User-Agent": actor.client, "X-Forwarded-For": actor.address}
    client = AsyncOpenAI(base_url=base_url, api_key=secret, default_headers=headers, max_retries=0, timeout=PATIENCE)
    async with client:
        await stop.pause(rng.uniform(0, 2 * actor.pause))
        for ask, place in scenario.asks(actor):
            if stop.over:
                return
            limit = max(SHORTEST, round(ask.max_tokens * scenario.size.brevity))
            asked = msgspec.structs.replace(ask, max_tokens=limit)
            played = await _ask(client, actor, asked, place, model, began)
            tell(played)
            await stop.pause(_rest(rng, actor, played))


def _rest(rng: Random, actor: Actor, played: Played) -> float:
    """Seconds until the next request: as people and loops pause, and longer after a refusal.

    Who is honest comes back later when answers are slow; the ring's scripts don't care.
    """
    patience = 1.0 if played.outcome == "served" else 2.0
    rest = patience * actor.pause * min(rng.lognormvariate(0.0, 0.6), 4.0)
    return rest if actor.kind == RING else rest + played.seconds


async def _ask(client: AsyncOpenAI, actor: Actor, ask: Ask, place: int | None, model: str, began: float) -> Played:
    sent = time.monotonic()
    code, tokens = "", 0
    outcome: Outcome = "served"
    try:
        tokens = await _answer(client, actor, ask, model)
    except openai.APIStatusError as error:
        code = str(error.code or error.status_code)
        outcome = "refused" if error.status_code in (403, 429) else "failed"
    except openai.APIError as error:
        code, outcome = type(error).__name__, "failed"
    ended = time.monotonic()
    return Played(
        at=ended - began,
        actor=actor.name,
        outcome=outcome,
        seconds=ended - sent,
        tokens=tokens,
        prompt=ask.prompt,
        place=place,
        code=code,
    )


async def _answer(client: AsyncOpenAI, actor: Actor, ask: Ask, model: str) -> int:
    """One answer, streamed where people read it as it comes; returns its tokens."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": ask.prompt}]
    if ask.system is not None:
        messages.insert(0, {"role": "system", "content": ask.system})
    if actor.kind not in STREAMING:
        whole = await client.chat.completions.create(
            model=model, messages=messages, max_tokens=ask.max_tokens, temperature=ask.temperature
        )
        return whole.usage.completion_tokens if whole.usage else 0
    stream = await client.chat.completions.create(
        model=model,
        messages=messages,
        max_tokens=ask.max_tokens,
        temperature=ask.temperature,
        stream=True,
        stream_options={"include_usage": True},
    )
    tokens = 0
    async for chunk in stream:
        if chunk.usage:
            tokens = chunk.usage.completion_tokens
    return tokens
