from __future__ import annotations

import re
from typing import Any

import httpx2 as httpx
import pytest


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found
    return found[1]


def do(person: httpx.Client, house: Any, **form: str) -> httpx.Response:
    path = f"/cases/{house.case.case_id}"
    return person.post(path, data={"csrf": csrf(person.get(path).text), **form})


def test_the_list_has_open_cases_first(house: Any, person: httpx.Client) -> None:
    other = house.store.open_case("acc-x", "Ada")
    house.store.close_case(house.case.case_id, "Ada", "done")
    page = person.get("/cases").text
    assert page.index(other.case_id) < page.index(house.case.case_id)


def test_a_case_shows_the_appeal_as_text_with_a_form_to_answer(house: Any, person: httpx.Client) -> None:
    page = person.get(f"/cases/{house.case.case_id}").text
    assert "We are &lt;b&gt;a school&lt;/b&gt;." in page
    assert 'value="grant"' in page
    assert house.throttled.decision_id in page


def test_a_granted_appeal_reverses_its_decision(house: Any, person: httpx.Client) -> None:
    form = {"deed": "grant", "decision_id": house.throttled.decision_id, "text": "verified the school"}
    assert do(person, house, **form).status_code == 303
    decision = house.store.decision(house.throttled.decision_id)
    assert decision.status == "reversed"
    assert any(event.by == "Ada" and event.text == "verified the school" for event in decision.events)
    assert 'value="grant"' not in person.get(f"/cases/{house.case.case_id}").text


def test_a_granted_appeal_of_one_in_a_ring_lets_that_one_go(house: Any, person: httpx.Client) -> None:
    one = house.ring.accounts[0]
    house.store.appeal(house.ring.decision_id, "Not me.", account_id=one)
    house.case = next(case for case in house.store.cases() if case.subject == "ring-7")
    form = {"deed": "grant", "decision_id": house.ring.decision_id, "account_id": one, "text": "not one of them"}
    assert do(person, house, **form).status_code == 303
    assert house.store.decision(house.ring.decision_id).released == (one,)


def test_a_denied_appeal_leaves_the_decision_and_says_why(house: Any, person: httpx.Client) -> None:
    assert do(person, house, deed="deny", text="no school of that name").status_code == 303
    assert house.store.decision(house.throttled.decision_id).status == "in_force"
    assert house.store.case(house.case.case_id).events[-1].text == "appeal denied: no school of that name"


def test_notes_closing_and_reopening(house: Any, person: httpx.Client) -> None:
    for deed, status in (("note", "open"), ("close", "closed"), ("reopen", "open")):
        assert do(person, house, deed=deed, text=f"{deed} it").status_code == 303
        case = house.store.case(house.case.case_id)
        assert case.status == status
        assert case.events[-1].by == "Ada"


@pytest.mark.parametrize("form", [{"deed": "note", "text": ""}, {"deed": "deny", "text": ""}, {"deed": "x"}])
def test_what_can_not_be_done_says_why(house: Any, person: httpx.Client, form: dict[str, str]) -> None:
    before = house.store.case(house.case.case_id)
    assert do(person, house, **form).status_code == 400
    assert house.store.case(house.case.case_id) == before
