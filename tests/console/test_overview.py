from __future__ import annotations

from typing import Any

import httpx2 as httpx


def test_it_shows_who_waits_what_is_open_and_what_was_decided(house: Any, person: httpx.Client) -> None:
    page = person.get("/").text
    assert f"/decisions/{house.ring.decision_id}" in page
    assert "ring of 4" in page
    assert f"/cases/{house.case.case_id}" in page
    assert "Of 8 accounts, 1 stand under a decision; 0 are suspended." in page
    house.store.confirm(house.ring.decision_id, "Ada")
    assert "5 stand under a decision; 4 are suspended." in person.get("/").text


def test_htmx_gets_the_part_alone(person: httpx.Client) -> None:
    part = person.get("/", headers={"hx-request": "true"}).text
    assert "<html" not in part
    assert "Waiting for a person" in part


def test_the_navigation_counts_what_waits(house: Any, person: httpx.Client) -> None:
    assert '<b class="badge">1</b>' in person.get("/accounts").text
    house.store.confirm(house.ring.decision_id, "Ada")
    assert "badge" not in person.get("/accounts").text
