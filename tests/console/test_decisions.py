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
    path = f"/decisions/{house.ring.decision_id}"
    return person.post(path, data={"csrf": csrf(person.get(path).text), **form})


def test_the_list_can_be_narrowed_to_a_state(house: Any, person: httpx.Client) -> None:
    everything = person.get("/decisions").text
    assert house.ring.decision_id in everything
    assert house.throttled.decision_id in everything
    pending = person.get("/decisions", params={"status": "pending"}).text
    assert house.ring.decision_id in pending
    assert house.throttled.decision_id not in pending
    assert "appealed" in everything


def test_a_decision_shows_reasons_evidence_and_everyone_it_covers(house: Any, person: httpx.Client) -> None:
    page = person.get(f"/decisions/{house.ring.decision_id}").text
    assert "Two families of evidence speak against it." in page
    assert "71% of its prompts ask for the reasoning &lt;think&gt;" in page
    assert "4.40" in page
    assert all(f"/accounts/{account_id}" in page for account_id in house.ring.accounts)


def test_confirming_puts_it_in_force_under_the_persons_name(house: Any, person: httpx.Client) -> None:
    assert do(person, house, deed="confirm", reason="looked at all four").status_code == 303
    decision = house.store.decision(house.ring.decision_id)
    assert decision.status == "in_force"
    confirmed = next(event for event in decision.events if event.kind == "confirmed")
    assert (confirmed.by, confirmed.text) == ("Ada", "looked at all four")


def test_refusing_ends_it(house: Any, person: httpx.Client) -> None:
    assert do(person, house, deed="reverse", reason="a school class").status_code == 303
    assert house.store.decision(house.ring.decision_id).status == "reversed"


def test_one_account_of_a_ring_can_be_let_go(house: Any, person: httpx.Client) -> None:
    one = house.ring.accounts[2]
    assert do(person, house, deed="release", reason="a guest", account_id=one).status_code == 303
    decision = house.store.decision(house.ring.decision_id)
    assert (decision.released, decision.status) == ((one,), "pending")
    assert "let go" in person.get(f"/decisions/{house.ring.decision_id}").text


@pytest.mark.parametrize("form", [{"deed": "reverse", "reason": ""}, {"deed": "dance"}, {"deed": "release"}])
def test_what_can_not_be_done_says_why_and_changes_nothing(
    house: Any, person: httpx.Client, form: dict[str, str]
) -> None:
    answer = do(person, house, **form)
    assert answer.status_code == 400
    assert "was not done" in answer.text
    assert house.store.decision(house.ring.decision_id).status == "pending"


def test_without_the_sessions_own_token_nothing_is_done(house: Any, person: httpx.Client) -> None:
    path = f"/decisions/{house.ring.decision_id}"
    token = csrf(person.get(path).text)
    tries = [
        ({"deed": "confirm"}, {}),
        ({"deed": "confirm", "csrf": "0" * 64}, {}),
        ({"deed": "confirm", "csrf": token}, {"origin": "https://evil.example"}),
        ({"deed": "confirm", "csrf": token}, {"sec-fetch-site": "same-site"}),
    ]
    for form, headers in tries:
        assert person.post(path, data=form, headers=headers).status_code == 403
    assert house.store.decision(house.ring.decision_id).status == "pending"


def test_a_guest_can_do_nothing(house: Any, guest: httpx.Client) -> None:
    assert guest.post(f"/decisions/{house.ring.decision_id}", data={"deed": "confirm"}).status_code == 303
    assert house.store.decision(house.ring.decision_id).status == "pending"
