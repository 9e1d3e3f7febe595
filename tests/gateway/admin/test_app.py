from __future__ import annotations

from typing import Any

import pytest


def operate(stand: Any, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    token = {"authorization": f"Bearer {stand.parts.token}"}
    status, found, _ = stand.call(method, path, body, **{**token, **headers})
    return status, found


@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer wrong", "Basic abc"])
def test_without_the_token_nothing_is_shown(stand: Any, token: str) -> None:
    status, found = operate(stand, "GET", "/admin/accounts", authorization=token)
    assert (status, found["error"]["code"]) == (401, "admin_token")
    assert "admin.token" in found["error"]["message"]


def test_an_accounts_key_is_no_admin_token(stand: Any) -> None:
    assert stand.call("GET", "/admin/accounts")[0] == 401


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/admin/nothing", 404), ("GET", "/admin", 404), ("PUT", "/admin/accounts", 405)],
)
def test_what_is_not_there_says_so(stand: Any, method: str, path: str, status: int) -> None:
    found, answer = operate(stand, method, path)
    assert found == status
    assert answer["error"]["message"]


@pytest.mark.parametrize("query", ["?status=odd", "?colour=red"])
def test_a_wrong_parameter_is_named(stand: Any, query: str) -> None:
    status, found = operate(stand, "GET", f"/admin/accounts{query}")
    assert status == 400
    assert "status" in found["error"]["message"] or "colour" in found["error"]["message"]


def test_a_body_that_is_too_long_is_refused(stand: Any) -> None:
    status, found = operate(stand, "POST", "/admin/accounts", b'{"name": "' + b"x" * (2 << 20) + b'"}')
    assert (status, found["error"]["code"]) == (413, "request_too_large")


def test_a_store_that_is_away_is_told(make_stand: Any) -> None:
    stand = make_stand()
    database = stand.settings.folder / "spiritsafe.db"
    stand.store._engine.dispose()
    database.rename(stand.settings.folder / "away")
    database.mkdir()
    try:
        status, found = operate(stand, "GET", "/admin/accounts")
        assert (status, found["error"]["code"]) == (503, "resource")
    finally:
        database.rmdir()
        (stand.settings.folder / "away").rename(database)
