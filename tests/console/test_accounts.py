from __future__ import annotations

import re
from typing import Any

import httpx2 as httpx
import pytest

from spiritsafe.console import accounts


def _names(page: str) -> list[str]:
    return re.findall(r'<a href="/accounts/[^"]+">([^<]+)</a>', page)


def test_accounts_under_a_decision_come_first_with_their_use(house: Any, person: httpx.Client) -> None:
    page = person.get("/accounts").text
    names = _names(page)
    assert len(names) == len(house.accounts)
    assert names[0] == "Hill School"
    assert "throttle" in page
    assert "may distil" in page
    assert "5,000" in page


@pytest.mark.parametrize(("asked", "found"), [("HILL", ["Hill School"]), ("university", ["Hill School"]), ("zzz", [])])
def test_search_looks_at_name_id_and_label(person: httpx.Client, asked: str, found: list[str]) -> None:
    page = person.get("/accounts", params={"q": asked}, headers={"hx-request": "true"}).text
    assert _names(page) == found
    assert "<html" not in page


def test_a_long_list_says_that_it_is_cut(house: Any, person: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "SHOWN", 3)
    page = person.get("/accounts").text
    assert len(_names(page)) == 3
    assert f"The first 3 of {len(house.accounts)}" in page
