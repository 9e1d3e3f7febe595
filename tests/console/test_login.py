from __future__ import annotations

import httpx2 as httpx
import pytest

from spiritsafe.console.session import COOKIE

TOKEN = "correct horse"


def test_signing_in_sets_a_strict_cookie_that_scripts_can_not_read(guest: httpx.Client) -> None:
    answer = guest.post("/login", data={"person": "Ada", "token": TOKEN, "next": "/cases"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/cases")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(COOKIE)
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "Ada" in guest.get("/").text


def test_a_wrong_token_says_so_and_opens_nothing(guest: httpx.Client) -> None:
    answer = guest.post("/login", data={"person": "Ada", "token": "guess"})
    assert answer.status_code == 403
    assert "did not open" in answer.text
    assert COOKIE not in guest.cookies


@pytest.mark.parametrize("away", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_it_never_leads_to_another_site(guest: httpx.Client, away: str) -> None:
    answer = guest.post("/login", data={"person": "Ada", "token": TOKEN, "next": away})
    assert answer.headers["location"] == "/"


def test_a_form_from_another_site_opens_nothing(guest: httpx.Client) -> None:
    form = {"person": "Ada", "token": TOKEN}
    assert guest.post("/login", data=form, headers={"origin": "https://evil.example"}).status_code == 403
    assert guest.post("/login", data=form, headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_who_is_signed_in_needs_no_form(person: httpx.Client) -> None:
    assert person.get("/login").headers["location"] == "/"


def test_signing_out_forgets(person: httpx.Client) -> None:
    assert person.post("/logout").headers["location"] == "/login"
    assert person.get("/").status_code == 303
