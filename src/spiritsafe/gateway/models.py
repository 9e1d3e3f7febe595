"""The list of models: what the upstreams say, each model once, and only those that this gateway routes there."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from spiritsafe.gateway import http
from spiritsafe.gateway.call import Call
from spiritsafe.gateway.enforce.gate import Gate
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.types import Receive, Scope, Send
from spiritsafe.gateway.upstream import Upstream, nonsense
from spiritsafe.gateway.wire import CHAT, DIALECTS, read
from spiritsafe.gateway.wire.types import Payload

PATH = "/v1/models"


class Models:
    """Answers ``GET /v1/models`` and ``GET /v1/models/NAME`` for any live key. Nothing of it is recorded."""

    def __init__(self, gate: Gate, upstreams: Sequence[Upstream]) -> None:
        self._gate = gate
        self._upstreams = upstreams

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. A client that names Anthropic's version gets errors in Anthropic's shape."""
        anthropic = any(name == b"anthropic-version" for name, _ in scope["headers"])
        call = Call(DIALECTS["/v1/messages"] if anthropic else CHAT, scope)
        try:
            await self._gate.seat(call.headers, call.time)
            if scope["method"] != "GET":
                raise Fault("method_not_allowed", f"no {scope['method']} here", remedy="Use GET.")
            payload = await self._answer(call, scope["path"].removeprefix(PATH).strip("/"))
        except Fault as fault:
            await http.refuse(send, fault, call.dialect.family, call.id, http.identity(call))
            return
        await http.answer(send, 200, msgspec.json.encode(payload), http.identity(call))

    async def _answer(self, call: Call, name: str) -> Payload:
        models: dict[str, Payload] = {}
        for upstream in self._upstreams:
            for model in await self._of(upstream, call):
                models.setdefault(model["id"], model)
        if not name:
            listed = list(models.values())
            ends = (listed[0]["id"], listed[-1]["id"]) if listed else (None, None)
            return {"object": "list", "data": listed, "has_more": False, "first_id": ends[0], "last_id": ends[1]}
        if name not in models:
            raise Fault(
                "unknown_model", f"there is no model {name!r} here", remedy=f"GET {PATH} lists those there are."
            )
        return models[name]

    async def _of(self, upstream: Upstream, call: Call) -> list[Payload]:
        status, body = await upstream.get(PATH, call.headers, call.dialect)
        if status != 200:
            raise nonsense(f"asked for its models it answered {status}")
        try:
            listed = read.objects(read.mapping(msgspec.json.decode(body)).get("data"))
        except read.UNREADABLE as error:
            raise nonsense(f"its list of models is not JSON ({error})") from error
        patterns = upstream.settings.models
        named = [model for model in listed if isinstance(model.get("id"), str)]
        return [model for model in named if any(fnmatchcase(model["id"], pattern) for pattern in patterns)]
