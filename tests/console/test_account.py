from __future__ import annotations

import re
from typing import Any

import httpx2 as httpx


def test_it_shows_standing_keys_use_and_cases(house: Any, person: httpx.Client) -> None:
    account = house.accounts[1]
    page = person.get(f"/accounts/{account.account_id}").text
    assert "Under a decision to <b>throttle</b>" in page
    assert house.store.keys(account_id=account.account_id)[0].prefix in page
    assert "60 requests per minute" in page
    assert f"/cases/{house.case.case_id}" in page
    counts = [int(count) for count in re.findall(r"<title>\d{4}-\d\d-\d\d: (\d+)</title>", page)]
    assert len(counts) == 14
    assert counts[-1] == sum(counts) == len(account.name) * 7


def test_a_permit_is_shown_with_who_gave_it(house: Any, person: httpx.Client) -> None:
    page = person.get(f"/accounts/{house.accounts[0].account_id}").text
    assert "distil a small one" in page
    assert "Ada" in page


def test_an_account_that_never_asked_has_a_page_too(house: Any, person: httpx.Client) -> None:
    account = house.store.add_account("idle")
    page = person.get(f"/accounts/{account.account_id}").text
    assert page.count('class="none"') >= 3


def test_names_are_text(house: Any, person: httpx.Client) -> None:
    page = person.get(f"/accounts/{house.accounts[-1].account_id}").text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
