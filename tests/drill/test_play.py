"""The actors against a real server on a socket that speaks the chat API and refuses on demand."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from spiritsafe.drill.play import Played, Stop, play
from spiritsafe.drill.scenario import QUICK, RING, Scenario, scenario


class Server:
    """A model that answers three tokens; ``bad`` maps a key to the status that it gets instead."""

    def __init__(self) -> None:
        self.bad: dict[str, int] = {}
        self.seen: list[tuple[str, str, str, dict[str, object]]] = []
        self.url = ""

    async def chat(self, request: Request) -> Response:
        key = request.headers["authorization"].removeprefix("Bearer ")
        body = await request.json()
        self.seen.append((key, request.headers["x-forwarded-for"], request.headers["user-agent"], body))
        if key in self.bad:
            error = {"error": {"message": "no", "type": "x", "code": f"code_{self.bad[key]}", "param": None}}
            return JSONResponse(error, status_code=self.bad[key])
        usage = {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "a b c"}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            return JSONResponse(
                {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}
            )
        return StreamingResponse(self._chunks(usage), media_type="text/event-stream")

    async def _chunks(self, usage: dict[str, int]) -> AsyncIterator[str]:
        base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        yield f"data: {json.dumps({**base, 'choices': [{'index': 0, 'delta': {'content': 'a'}}]})}\n\n"
        yield f"data: {json.dumps({**base, 'choices': [], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    model = Server()
    app = Starlette(routes=[Route("/v1/chat/completions", model.chat, methods=["POST"])])
    runner = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    task = asyncio.create_task(runner.serve())
    while not runner.started:  # noqa: ASYNC110 - uvicorn offers no event for it
        await asyncio.sleep(0.01)
    model.url = f"http://127.0.0.1:{runner.servers[0].sockets[0].getsockname()[1]}/v1"
    yield model
    runner.should_exit = True
    await task


def hurried(seed: int) -> Scenario:
    """A small cast that hardly pauses."""
    size = msgspec.structs.replace(QUICK, honest={"person": 2, "support": 1}, members=2, corpus=40)
    play_ = scenario(seed, size)
    return msgspec.structs.replace(
        play_, actors=tuple(msgspec.structs.replace(actor, pause=0.002) for actor in play_.actors)
    )


async def run(cast: Scenario, server: Server, count: int) -> list[Played]:
    stop, told = Stop(), list[Played]()

    def tell(one: Played) -> None:
        told.append(one)
        if len(told) >= count:
            stop.now()

    secrets = {actor.name: f"key-{actor.name}" for actor in cast.actors}
    await asyncio.wait_for(play(cast, server.url, secrets, "m", stop, tell, time.monotonic()), 60)
    return told


async def test_every_actor_speaks_with_its_own_key_address_and_client(server: Server) -> None:
    cast = hurried(1)
    told = await run(cast, server, 80)
    assert {one.outcome for one in told} == {"served"}
    assert all(one.tokens == 3 for one in told)
    by_key = {f"key-{actor.name}": actor for actor in cast.actors}
    assert {key for key, *_ in server.seen} == set(by_key)
    for key, address, client, body in server.seen:
        actor = by_key[key]
        assert (address, client) == (actor.address, actor.client)
        assert bool(body.get("stream")) == (actor.kind in ("person", RING))


async def test_the_ring_asks_for_its_tasks_and_says_which(server: Server) -> None:
    cast = hurried(2)
    told = await run(cast, server, 100)
    members = {actor.name for actor in cast.actors if actor.kind == RING}
    harvested = [one for one in told if one.place is not None]
    assert harvested
    assert {one.actor for one in harvested} <= members
    assert all(cast.corpus[one.place].prompt == one.prompt for one in harvested if one.place is not None)


@pytest.mark.parametrize(("status", "outcome"), [(403, "refused"), (429, "refused"), (500, "failed")])
async def test_a_refusal_is_told_from_a_failure(server: Server, status: int, outcome: str) -> None:
    cast = hurried(3)
    victim = cast.actors[0].name
    server.bad[f"key-{victim}"] = status
    told = await run(cast, server, 60)
    outcomes = Counter((one.outcome, one.code) for one in told if one.actor == victim)
    assert set(outcomes) == {(outcome, f"code_{status}")}
    assert all(one.outcome == "served" for one in told if one.actor != victim)


async def test_a_server_that_is_not_there_is_a_failure_and_no_crash() -> None:
    cast = hurried(4)
    server = Server()
    server.url = "http://127.0.0.1:9/v1"
    told = await run(cast, server, 10)
    assert {(one.outcome, one.code) for one in told} == {("failed", "APIConnectionError")}


async def test_nobody_starts_anything_once_it_is_over(server: Server) -> None:
    stop = Stop()
    stop.now()
    cast = hurried(5)
    secrets = {actor.name: "k" for actor in cast.actors}
    told: list[Played] = []
    await asyncio.wait_for(play(cast, server.url, secrets, "m", stop, told.append, time.monotonic()), 10)
    assert told == []


async def test_a_pause_ends_with_the_play() -> None:
    stop = Stop()
    asyncio.get_running_loop().call_later(0.02, stop.now)
    await asyncio.wait_for(stop.pause(60), 5)
    assert stop.over
