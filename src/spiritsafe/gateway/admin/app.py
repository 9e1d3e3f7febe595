"""The admin API as a Starlette application: one token, JSON in and out, its own description."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as At

from spiritsafe.errors import SpiritsafeError, UsageError
from spiritsafe.gateway.admin import openapi
from spiritsafe.gateway.admin.routes import ROUTES
from spiritsafe.gateway.admin.types import Desk, Route

PREFIX = "/admin"
MAX_BODY = 1 << 20

Endpoint = Callable[[Request], Awaitable[Response]]


def admin_app(desk: Desk, token: str) -> Starlette:
    """The application; it expects to be called with paths that begin with ``PREFIX``."""
    description = msgspec.json.encode(openapi.document(ROUTES, PREFIX))

    async def describe(_request: Request) -> Response:
        return Response(description, media_type="application/json")

    async def other(_request: Request) -> Response:
        return failure(404, "not_found", f"there is nothing here; {PREFIX}/openapi.json lists what there is")

    places: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        places.setdefault(route.path, {})[route.method] = route
    routes = [At(f"{PREFIX}/openapi.json", describe)]
    routes += [
        At(PREFIX + path, _endpoint(desk, token, methods), methods=["GET", "POST", "PATCH", "PUT", "DELETE"])
        for path, methods in places.items()
    ]
    routes.append(At("/{rest:path}", other, methods=["GET", "POST", "PATCH", "PUT", "DELETE"]))
    return Starlette(routes=routes)


def bears(request_headers: Any, token: str) -> bool:
    """Whether a request carries the admin token."""
    given = request_headers.get("authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


def _endpoint(desk: Desk, token: str, methods: dict[str, Route]) -> Endpoint:
    async def serve(request: Request) -> Response:
        if not bears(request.headers, token):
            words = "send the admin token (DATA/keys/admin.token) as 'Authorization: Bearer TOKEN'"
            return failure(401, "admin_token", words)
        route = methods.get(request.method)
        if route is None:
            return failure(405, "method_not_allowed", f"use {', '.join(methods)} here")
        try:
            query = msgspec.convert(dict(request.query_params), route.query, strict=False)
            body = msgspec.json.decode(await _body(request), type=route.body) if route.body is not None else None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return failure(400, "invalid_request", str(error))
        except UsageError as error:
            return failure(413, "request_too_large", str(error))
        return await asyncio.to_thread(_run, desk, route, request.path_params.get("name", ""), query, body)

    return serve


def _run(desk: Desk, route: Route, name: str, query: Any, body: Any) -> Response:
    try:
        if route.find is not None:
            try:
                route.find(desk.store, name)
            except UsageError as error:
                return failure(404, "not_found", str(error))
        result = route.run(desk, name, query, body)
    except UsageError as error:
        return failure(400, "invalid_request", str(error))
    except SpiritsafeError as error:
        return failure(503, error.code, str(error))
    return Response(msgspec.json.encode(result), status_code=route.status, media_type="application/json")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise UsageError(f"the body is longer than {MAX_BODY} bytes", remedy="Send less.")
    return bytes(body)


def failure(status: int, code: str, message: str) -> Response:
    """An error of the admin API."""
    body = msgspec.json.encode({"error": {"code": code, "message": message}})
    return Response(body, status_code=status, media_type="application/json")
