from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.gateway.admin.routes import ROUTES
from spiritsafe.store import Decision, new_id


class Operator:
    """Talks to the admin API with its token."""

    def __init__(self, stand: Any) -> None:
        self.stand = stand

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        token = {"authorization": f"Bearer {self.stand.parts.token}"}
        status, found, _ = self.stand.call(method, f"/admin{path}", body, **token)
        return status, found

    def made(self, path: str, body: Any) -> Any:
        status, found = self("POST", path, body)
        assert status == 201, found
        return found


@pytest.fixture
def operator(stand: Any) -> Operator:
    return Operator(stand)


def test_an_account_is_added_shown_changed_and_listed(operator: Operator, stand: Any) -> None:
    account = operator.made("/accounts", {"name": "distillery", "kind": "agency", "payment": "card 1234"})
    name = account["account_id"]
    assert account["payment"] == stand.parts.pseudonyms.of("payment", "card 1234")
    assert operator("GET", f"/accounts/{name}") == (200, account)
    status, changed = operator("PATCH", f"/accounts/{name}", {"name": "still", "payment": None})
    assert (status, changed["name"], changed["payment"], changed["kind"]) == (200, "still", None, "agency")
    operator("PATCH", f"/accounts/{name}", {"status": "closed"})
    status, closed = operator("GET", "/accounts?status=closed")
    assert name in [each["account_id"] for each in closed["accounts"]]
    assert operator("GET", f"/accounts/{name}/usage") == (200, {"usage": []})


def test_a_key_is_made_used_rotated_and_revoked(operator: Operator, stand: Any) -> None:
    account = operator.made("/accounts", {"name": "a"})["account_id"]
    limits = {"requests_per_minute": 7}
    key = operator.made("/keys", {"account_id": account, "name": "first", "limits": limits})
    assert key["secret"].startswith(key["prefix"])
    assert "hash" not in key
    assert stand.call("GET", "/v1/models", authorization=f"Bearer {key['secret']}")[0] == 200
    name = key["key_id"]
    status, shown = operator("GET", f"/keys/{name}")
    assert (shown["secret"], shown["state"], shown["limits"]["requests_per_minute"]) == (None, "live", 7)
    expires = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert operator("PATCH", f"/keys/{name}", {"expires": expires})[1]["expires"] is not None
    status, successor = operator("POST", f"/keys/{name}/rotate", {"overlap_seconds": 60})
    assert (status, successor["limits"]) == (200, key["limits"])
    assert operator("DELETE", f"/keys/{name}")[1]["state"] == "revoked"
    assert stand.call("GET", "/v1/models", authorization=f"Bearer {key['secret']}")[0] == 401
    assert stand.call("GET", "/v1/models", authorization=f"Bearer {successor['secret']}")[0] == 200
    listed = operator("GET", f"/keys?account_id={account}")[1]["keys"]
    assert [each["key_id"] for each in listed] == [name, successor["key_id"]]


def test_a_grant_is_made_changed_and_revoked(operator: Operator) -> None:
    account = operator.made("/accounts", {"name": "a"})["account_id"]
    body = {"account_id": account, "model": "m-*", "purpose": "distil", "by": "ada", "quota_tokens": 100}
    grant = operator.made("/grants", body)
    name = grant["grant_id"]
    assert operator("GET", f"/grants/{name}")[1]["quota_tokens"] == 100
    assert operator("PATCH", f"/grants/{name}", {"quota_tokens": None})[1]["quota_tokens"] is None
    assert operator("DELETE", f"/grants/{name}")[1]["revoked"] is not None
    assert [g["grant_id"] for g in operator("GET", f"/grants?account_id={account}")[1]["grants"]] == [name]


def test_decisions_are_confirmed_and_reversed_and_appeals_are_found(operator: Operator, stand: Any) -> None:
    account = operator.made("/accounts", {"name": "a"})["account_id"]
    made = stand.store.decide(
        Decision(
            decision_id=new_id("dec"),
            time=datetime.now(UTC),
            subject=account,
            subject_kind="account",
            accounts=(account,),
            action="suspend",
            rule="r",
            reasons=("why",),
            evidence=(),
            by="policy:1",
            status="pending",
            needs_person=True,
        )
    )
    name = made.decision_id
    assert operator("GET", f"/decisions/{name}")[1]["status"] == "pending"
    assert operator("POST", f"/decisions/{name}/confirm", {"by": "ada"})[1]["status"] == "in_force"
    assert operator("GET", f"/decisions?account_id={account}&appealed=true")[1] == {"decisions": []}
    stand.store.appeal(name, "No!", account_id=account)
    (appealed,) = operator("GET", f"/decisions?account_id={account}&appealed=true&limit=5")[1]["decisions"]
    assert appealed["appeal"] == "No!"
    assert operator("POST", f"/decisions/{name}/reverse", {"by": "ada", "reason": "right"})[1]["status"] == "reversed"
    assert operator("POST", f"/decisions/{name}/confirm", {"by": "ada"})[0] == 400


def test_a_case_is_opened_noted_closed_and_opened_again(operator: Operator) -> None:
    case = operator.made("/cases", {"subject": new_id("acc"), "by": "ada"})
    name = case["case_id"]
    assert len(operator.made(f"/cases/{name}/notes", {"by": "ada", "text": "looked"})["events"]) == 2
    assert operator("POST", f"/cases/{name}/close", {"by": "ada", "text": "done"})[1]["status"] == "closed"
    assert operator("POST", f"/cases/{name}/reopen", {"by": "ada", "text": "not done"})[1]["status"] == "open"
    assert operator("GET", f"/cases/{name}")[1]["status"] == "open"
    assert operator("GET", f"/cases?subject={case['subject']}&status=open")[1]["cases"][0]["case_id"] == name


@pytest.mark.parametrize("route", [r for r in ROUTES if r.find is not None], ids=lambda r: f"{r.method} {r.path}")
def test_what_is_not_there_is_404_whatever_is_asked_of_it(operator: Operator, route: Any) -> None:
    bodies = {
        "Rotation": {},
        "Confirmation": {"by": "a"},
        "Reversal": {"by": "a", "reason": "b"},
        "Words": {"by": "a", "text": "b"},
    }
    body = None if route.body is None else bodies.get(route.body.__name__, {})
    status, found = operator(route.method, route.path.replace("{name}", "none"), body)
    assert (status, found["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/accounts", {"name": ""}, "empty"),
        ("/accounts", {"nam": "a"}, "unknown field"),
        ("/accounts", None, "malformed|truncated"),
        ("/keys", {"account_id": "none"}, "no account"),
        ("/keys", {"account_id": "none", "limits": {"requests_per_minute": "x"}}, "Expected"),
    ],
)
def test_what_can_not_be_done_says_why(operator: Operator, path: str, body: Any, words: str) -> None:
    import re

    status, found = operator("POST", path, body)
    assert status == 400
    assert re.search(words, found["error"]["message"])


def test_the_token_lies_in_the_data_folder_for_its_owner_alone(stand: Any) -> None:
    path: Path = stand.settings.folder / "keys" / "admin.token"
    assert path.read_text().strip() == stand.parts.token
    assert path.stat().st_mode & 0o077 == 0
