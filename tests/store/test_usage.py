"""Counting, on both databases and from several threads and processes at once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TYPE_CHECKING

import pytest

from spiritsafe.errors import UsageError
from spiritsafe.store.models import Usage

if TYPE_CHECKING:
    from spiritsafe.store import Store

TODAY = date(2026, 3, 2)


@pytest.fixture
def keys(store: Store) -> list[str]:
    account = store.add_account("Acme").account_id
    return sorted(store.add_key(account)[0].key_id for _ in range(3))


def test_batches_add_up_by_key_and_day(store: Store, keys: list[str], clock) -> None:
    a, b, _ = keys
    store.add_usage({a: (1, 10), b: (2, 20)})
    store.add_usage({a: (3, 30)})
    clock.move(hours=12)
    store.add_usage({a: (1, 1)})
    assert store.usage() == [
        Usage(key_id=a, day=TODAY, requests=4, tokens=40),
        Usage(key_id=b, day=TODAY, requests=2, tokens=20),
        Usage(key_id=a, day=date(2026, 3, 3), requests=1, tokens=1),
    ]


def test_usage_is_asked_by_key_account_and_day(store: Store, keys: list[str], clock) -> None:
    a, b, _ = keys
    elsewhere = store.add_account("Other").account_id
    c = store.add_key(elsewhere)[0].key_id
    store.add_usage({a: (1, 1), b: (1, 1), c: (5, 5)})
    clock.move(days=1)
    store.add_usage({a: (2, 2)})
    assert [(u.requests, u.day) for u in store.usage(key_id=a)] == [(1, TODAY), (2, date(2026, 3, 3))]
    assert store.usage(account_id=elsewhere) == [Usage(key_id=c, day=TODAY, requests=5, tokens=5)]
    assert [u.requests for u in store.usage(since=date(2026, 3, 3))] == [2]
    assert store.usage(key_id="key_none") == []


def test_grants_count_over_their_whole_life(store: Store, keys: list[str], clock) -> None:
    account = store.accounts()[0].account_id
    grant = store.add_grant(account, model="*", purpose="p", by="ann").grant_id
    store.add_usage({keys[0]: (1, 10)}, {grant: (1, 10)})
    clock.move(days=40)
    store.add_usage({}, {grant: (2, 20)})
    counted = store.grant(grant)
    assert (counted.used_requests, counted.used_tokens) == (3, 30)
    assert len(store.usage()) == 1


def test_an_unknown_key_refuses_the_batch_as_a_whole(store: Store, keys: list[str]) -> None:
    with pytest.raises(UsageError, match="doesn't have"):
        store.add_usage({keys[0]: (1, 1), "key_none": (1, 1)})
    assert store.usage() == []


def test_an_empty_batch_is_nothing(store: Store) -> None:
    store.add_usage({})
    store.add_usage({}, {})
    assert store.usage() == []


def test_counting_is_no_news_to_gateways(store: Store, keys: list[str]) -> None:
    before = store.generation()
    store.add_usage({keys[0]: (1, 1)})
    assert store.generation() == before


def test_no_addition_is_lost_between_threads(store: Store, keys: list[str]) -> None:
    def add(_: int) -> None:
        for _ in range(5):
            store.add_usage(dict.fromkeys(keys, (1, 7)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert [(u.requests, u.tokens) for u in store.usage()] == [(20, 140)] * 3


def test_no_addition_is_lost_between_processes(store: Store, url: str, keys: list[str]) -> None:
    code = (
        "import sys\nfrom spiritsafe.store import open_store\n"
        "with open_store(sys.argv[1]) as store:\n"
        "    for _ in range(20): store.add_usage(dict.fromkeys(sys.argv[2:], (1, 7)))"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, url, *keys]) for _ in range(2)]
    assert [process.wait(120) for process in started] == [0, 0]
    assert [(u.requests, u.tokens) for u in store.usage()] == [(40, 280)] * 3
