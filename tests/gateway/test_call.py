from __future__ import annotations

from spiritsafe.gateway.call import Call, new_exchange_id
from spiritsafe.gateway.wire import CHAT


def call(*headers: tuple[bytes, bytes], scheme: str = "http") -> Call:
    return Call(CHAT, {"headers": list(headers), "scheme": scheme})


def test_ids_differ_and_sort_by_time() -> None:
    ids = [new_exchange_id() for _ in range(70_000)]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)
    assert {len(each) for each in ids} == {31}


def test_links_lead_back_the_way_the_client_came() -> None:
    assert call((b"host", b"api.example.org:8700")).origin(None) == "http://api.example.org:8700"
    assert call((b"host", b"x"), scheme="https").origin(None) == "https://x"
    assert call().origin(None) == "http://localhost"
    assert call((b"host", b"evil")).origin("https://api.example.org/") == "https://api.example.org"
