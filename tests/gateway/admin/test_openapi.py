from __future__ import annotations

import json
from typing import Any

import pytest

from spiritsafe.gateway.admin.openapi import document
from spiritsafe.gateway.admin.routes import ROUTES


@pytest.fixture(scope="module")
def found() -> Any:
    return document(ROUTES, "/admin")


def test_every_operation_is_described(found: Any) -> None:
    described = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
    assert described == {(route.method, f"/admin{route.path}") for route in ROUTES}
    names = [operation["operationId"] for methods in found["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


def test_every_reference_leads_somewhere(found: Any) -> None:
    text = json.dumps(found)
    references = {part.split('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}
    assert references <= set(found["components"]["schemas"])
    assert {"Account", "Decision", "NewKey", "Error"} <= references


def test_parameters_come_from_path_and_query(found: Any) -> None:
    assert [p["name"] for p in found["paths"]["/admin/accounts/{name}"]["get"]["parameters"]] == ["name"]
    asked = {p["name"]: p["in"] for p in found["paths"]["/admin/decisions"]["get"]["parameters"]}
    assert asked == dict.fromkeys(("status", "subject", "account_id", "appealed", "limit"), "query")
    assert found["paths"]["/admin/keys"]["post"]["requestBody"]["required"]


def test_it_is_served_without_a_token(stand: Any, found: Any) -> None:
    status, served, _ = stand.call("GET", "/admin/openapi.json", authorization="")
    assert (status, served["openapi"], served["paths"].keys()) == (200, "3.1.0", found["paths"].keys())
