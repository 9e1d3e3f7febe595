from __future__ import annotations

import json
from typing import Any

import httpx2 as httpx


def test_a_guest_hears_nothing(guest: httpx.Client) -> None:
    assert guest.get("/live").status_code == 403


def test_it_tells_history_then_traffic_and_each_change(house: Any, person: httpx.Client) -> None:
    names: list[str] = []
    with person.stream("GET", "/live", timeout=120) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
                if names == ["history"]:
                    house.store.confirm(house.ring.decision_id, "Ada")
            elif line.startswith("data: ") and names[-1] in ("history", "traffic"):
                data = json.loads(line.removeprefix("data: "))
                row = data[-1] if names[-1] == "history" else data
                assert len(row) == 5
            if "changed" in names and "traffic" in names:
                break
    assert names[0] == "history"


def test_what_was_decided_between_two_streams_is_told_with_the_next(house: Any, person: httpx.Client) -> None:
    def first_events(known: str | None) -> tuple[list[str], str]:
        names, generation = [], ""
        headers = {} if known is None else {"last-event-id": known}
        with person.stream("GET", "/live", timeout=120, headers=headers) as stream:
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    names.append(line.removeprefix("event: "))
                elif line.startswith("id: "):
                    generation = line.removeprefix("id: ")
                if len(names) == 2:
                    return names, generation
        return names, generation

    names, generation = first_events(None)
    assert names == ["history", "traffic"]
    assert first_events(generation)[0] == ["history", "traffic"]
    house.store.confirm(house.ring.decision_id, "Ada")
    assert first_events(generation)[0] == ["history", "changed"]
