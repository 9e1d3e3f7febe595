from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.gateway.enforce.usage import Book, Line, Tally, line_of
from spiritsafe.record.exchange import Exchange
from spiritsafe.store import Store, open_store


def exchange(**fields: Any) -> Exchange:
    given = {"exchange_id": "e", "time": datetime.now(UTC), "account_id": "a", "key_id": "k", "status": 200}
    return Exchange(**{**given, "prompt_tokens": 5, "completion_tokens": 2, **fields})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 's.db'}") as opened:
        yield opened


@pytest.fixture
def key(store: Store) -> str:
    return store.add_key(store.add_account("a").account_id)[0].key_id


@pytest.mark.parametrize(("status", "counts"), [(200, True), (None, True), (499, True), (403, False), (502, False)])
def test_what_was_answered_counts_and_what_was_refused_or_failed_does_not(status: int | None, counts: bool) -> None:
    assert line_of(exchange(status=status)) == (Line("k", None, 7) if counts else None)


def test_without_a_key_nothing_counts_and_missing_tokens_are_none() -> None:
    assert line_of(exchange(key_id=None)) is None
    assert line_of(exchange(prompt_tokens=None, grant_id="g")) == Line("k", "g", 2)


def test_a_tally_knows_what_the_store_has_and_what_it_does_not() -> None:
    tally = Tally()
    tally.note("k", 5)
    batch = tally.unflushed()
    tally.note("k", 7)
    tally.flushed(batch)
    assert (batch, tally.unflushed()) == ({"k": (1, 5)}, {"k": (1, 7)})
    tally.know({"k": (11, 105)})  # ours (1, 5) and another gateway's (10, 100)
    assert tally.used("k") == (12, 112)
    tally.forget()
    assert tally.used("k") == (0, 0)


async def test_usage_reaches_the_store_in_batches(store: Store, key: str, tmp_path: Path) -> None:
    book = Book(store, tmp_path)
    grant = store.add_grant(store.accounts()[0].account_id, model="*", purpose="distil", by="me")
    book.note(Line(key, grant.grant_id, 7), 0)
    book.note(Line(key, None, 3), 1)
    book.note(None, 2)
    await book.flush()
    await book.flush()
    (usage,) = store.usage()
    assert (usage.requests, usage.tokens) == (2, 10)
    assert (store.grant(grant.grant_id).used_requests, store.grant(grant.grant_id).used_tokens) == (1, 7)
    assert Book(store, tmp_path).covered() == 3


async def test_another_gateways_usage_is_seen_after_a_batch(store: Store, key: str, tmp_path: Path) -> None:
    book = Book(store, tmp_path)
    book.reread = True
    book.note(Line(key, None, 3), 0)
    store.add_usage({key: (10, 100)})
    assert book.keys.used(key) == (1, 3)
    await book.flush()
    assert book.keys.used(key) == (11, 103)
    await book.reload()
    assert book.keys.used(key) == (11, 103)


async def test_what_a_crash_kept_from_the_store_is_read_from_the_record(store: Store, key: str, tmp_path: Path) -> None:
    before = Book(store, tmp_path)
    before.note(Line(key, None, 7), 0)
    await before.flush()
    before.note(Line(key, None, 7), 1)  # and the machine stops here
    after = Book(store, tmp_path)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    rows = [(1, exchange(key_id=key)), (2, exchange(key_id="gone")), (3, exchange(key_id=key, time=yesterday))]
    assert after.reconcile(rows, {key}) == 1
    await after.flush()
    assert (store.usage()[0].requests, store.usage()[0].tokens) == (2, 14)
    assert after.covered() == 4


async def test_yesterdays_rows_count_for_their_grants(store: Store, key: str, tmp_path: Path) -> None:
    grant = store.add_grant(store.accounts()[0].account_id, model="*", purpose="distil", by="me").grant_id
    book = Book(store, tmp_path)
    row = exchange(key_id=key, grant_id=grant, time=datetime.now(UTC) - timedelta(days=1))
    assert book.reconcile([(0, row)], {key}) == 0
    await book.flush()
    assert store.grant(grant).used_tokens == 7
    assert store.usage() == []


async def test_at_midnight_the_day_begins_anew(store: Store, key: str, tmp_path: Path) -> None:
    book = Book(store, tmp_path)
    book.day -= timedelta(days=1)
    book.note(Line(key, None, 7), 0)
    await book.flush()
    assert book.keys.used(key) == (0, 0)
    assert book.day == datetime.now(UTC).date()


async def test_a_store_that_is_away_keeps_the_batch_for_the_next_time(store: Store, key: str, tmp_path: Path) -> None:
    book = Book(store, tmp_path)
    book.note(Line(key, None, 7), 0)
    (tmp_path / "s.db").rename(tmp_path / "away.db")
    (tmp_path / "s.db").mkdir()
    store._engine.dispose()
    with pytest.raises(ResourceError):
        await book.flush()
    (tmp_path / "s.db").rmdir()
    (tmp_path / "away.db").rename(tmp_path / "s.db")
    await book.flush()
    assert await asyncio.to_thread(lambda: store.usage()[0].tokens) == 7


async def test_files_that_can_not_be_used_say_so(store: Store, tmp_path: Path) -> None:
    (tmp_path / "usage.json").write_text("{")
    with pytest.raises(InputError, match="not what a gateway wrote"):
        Book(store, tmp_path).covered()
    book = Book(store, tmp_path / "none")
    book.note(None, 4)
    with pytest.raises(ResourceError, match="can't be written"):
        await book.flush()
