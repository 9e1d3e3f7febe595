from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx2 as httpx
import pytest

from spiritsafe.console.page import FORM_LIMIT, TEMPLATES

PATHS = ["/", "/accounts", "/decisions", "/cases"]


@pytest.mark.parametrize("path", PATHS)
def test_a_guest_is_shown_to_the_door(guest: httpx.Client, path: str) -> None:
    answer = guest.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")


@pytest.mark.parametrize("path", PATHS)
def test_every_page_is_safe_in_a_browser(person: httpx.Client, path: str) -> None:
    answer = person.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("path", ["/accounts/acc_none", "/decisions/dec_none", "/cases/case_none"])
def test_what_is_not_there_says_so_with_a_remedy(person: httpx.Client, path: str) -> None:
    answer = person.get(path)
    assert answer.status_code == 404
    assert "none" in answer.text


def test_a_form_over_the_limit_is_cut_off(person: httpx.Client) -> None:
    answer = person.post("/cases/case_none", data={"text": "x" * (FORM_LIMIT + 10), "csrf": "late"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s ago"), (130, "2 min ago"), (7300, "2 h ago"), (200_000, "2 d ago"), (-5, "0 s ago")]
)
def test_times_are_told_as_people_do(seconds: float, text: str) -> None:
    ago = TEMPLATES.filters["ago"]
    assert ago(datetime.now(UTC) - timedelta(seconds=seconds)) == text
