"""The admin API's OpenAPI 3.1 document, made from its table of routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from spiritsafe import __version__
from spiritsafe.gateway.admin.types import Route

_ERRORS = {400: "Not like this", 401: "No admin token", 404: "No such thing", 503: "The store is out of reach"}
_TEXT = {"type": "string"}
_DETAIL = {"type": "object", "properties": {"code": _TEXT, "message": _TEXT}}
_ERROR = {"type": "object", "properties": {"error": _DETAIL}}


def document(routes: Iterable[Route], prefix: str) -> dict[str, Any]:
    """The whole document; ``prefix`` is where the API is mounted."""
    routes = tuple(routes)
    types = [kind for route in routes for kind in (route.result, route.body, route.query) if kind is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    known = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(prefix + route.path, {})[route.method.lower()] = _operation(route, known, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Spiritsafe admin", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"admin": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"admin": []}],
    }


def _operation(route: Route, known: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}{route.path.replace('/', '_').replace('{name}', 'one')}",
        "responses": {str(route.status): {"description": "Done", **_content(known[route.result])}},
    }
    for status, words in _ERRORS.items():
        reference = {"$ref": "#/components/schemas/Error"}
        found["responses"][str(status)] = {"description": words, **_content(reference)}
    asked = components.get(route.query.__name__, {}).get("properties", {})
    parameters = [_parameter("name", "path", _TEXT, required=True)] if "{name}" in route.path else []
    parameters += [_parameter(name, "query", schema, required=False) for name, schema in asked.items()]
    if parameters:
        found["parameters"] = parameters
    if route.body is not None:
        found["requestBody"] = {"required": True, **_content(known[route.body])}
    return found


def _content(schema: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _parameter(name: str, where: str, schema: Any, *, required: bool) -> dict[str, Any]:
    return {"name": name, "in": where, "required": required, "schema": schema}
