from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.gateway.enforce.roster import Roster
from spiritsafe.gateway.enforce.usage import Book
from spiritsafe.gateway.faults import Fault
from spiritsafe.store import Account, Decision, Limits, Store, new_id, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 's.db'}") as opened:
        yield opened


@pytest.fixture
def account(store: Store) -> Account:
    return store.add_account("a")


def now() -> datetime:
    return datetime.now(UTC)


def decision(account: Account, action: Any, **fields: Any) -> Decision:
    given = {"decision_id": new_id("dec"), "time": now(), "subject": account.account_id, "subject_kind": "account"}
    given |= {"accounts": (account.account_id,), "action": action, "rule": "r", "reasons": ("why",), "evidence": ()}
    return Decision(**{**given, "by": "policy:1", "status": "in_force", **fields})


async def fresh(store: Store, tmp_path: Path) -> Roster:
    roster = Roster(store, Book(store, tmp_path))
    await roster.refresh(now())
    return roster


async def test_a_secret_finds_its_seat_and_an_unknown_one_none(store: Store, account: Account, tmp_path: Path) -> None:
    key, secret = store.add_key(account.account_id)
    roster = await fresh(store, tmp_path)
    for _ in range(2):
        seat = roster.find(secret.encode())
        assert seat is not None
        assert (seat.key, seat.tenant.account) == (key, account)
    assert roster.find(b"ssk_no_such") is None
    assert roster.find(b"\xff\xfe") is None
    assert roster.key_ids == {key.key_id}


async def test_every_change_is_noticed_at_once(store: Store, account: Account, tmp_path: Path) -> None:
    roster = await fresh(store, tmp_path)
    assert roster.is_current(now())
    key, secret = store.add_key(account.account_id)
    assert not roster.is_current(now())
    await asyncio.gather(*(roster.refresh(now()) for _ in range(5)))
    assert roster.is_current(now())
    store.revoke_key(key.key_id)
    assert not roster.is_current(now())
    await roster.refresh(now())
    seat = roster.find(secret.encode())
    assert seat is not None
    assert seat.key.revoked is not None


async def test_what_was_used_outlives_a_reload_and_limits_follow_the_store(
    store: Store, account: Account, tmp_path: Path
) -> None:
    key, secret = store.add_key(account.account_id, limits=Limits(requests_per_minute=10))
    roster = await fresh(store, tmp_path)
    seat = roster.find(secret.encode())
    assert seat is not None
    assert seat.requests is not None
    seat.requests.take(5)
    seat.in_flight = 3
    store.change_key(key.key_id, limits=Limits(requests_per_minute=100, tokens_per_minute=7))
    await roster.refresh(now())
    assert roster.find(secret.encode()) is seat
    assert seat.requests.level(0.0) == pytest.approx(50, abs=1)
    assert (seat.in_flight, seat.tokens is not None) == (3, True)
    store.change_key(key.key_id, limits=Limits())
    await roster.refresh(now())
    assert seat.requests is seat.tokens is None


async def test_grants_and_the_standing_decision_are_known(store: Store, account: Account, tmp_path: Path) -> None:
    _, secret = store.add_key(account.account_id)
    grant = store.add_grant(account.account_id, model="*", purpose="distil", by="me")
    store.decide(decision(account, "notify"))
    strict = store.decide(decision(account, "throttle"))
    roster = await fresh(store, tmp_path)
    seat = roster.find(secret.encode())
    assert seat is not None
    assert [g.grant_id for g in seat.tenant.grants] == [grant.grant_id]
    assert seat.tenant.decision == strict
    store.reverse(strict.decision_id, "me", "wrong")
    await roster.refresh(now())
    assert seat.tenant.decision is not None
    assert seat.tenant.decision.action == "notify"


async def test_when_a_decision_runs_out_the_milder_one_beside_it_comes_forth(
    store: Store, account: Account, tmp_path: Path
) -> None:
    _, secret = store.add_key(account.account_id)
    ends = now() + timedelta(seconds=0.3)
    store.decide(decision(account, "suspend", expires=ends))
    store.decide(decision(account, "notify"))
    roster = await fresh(store, tmp_path)
    assert roster.is_current(now())
    await asyncio.sleep(0.35)
    assert not roster.is_current(now())
    await roster.refresh(now())
    seat = roster.find(secret.encode())
    assert seat is not None
    assert seat.tenant.decision is not None
    assert seat.tenant.decision.action == "notify"
    assert roster.is_current(now())


async def test_the_days_usage_is_read_only_where_a_key_has_a_quota(
    store: Store, account: Account, tmp_path: Path
) -> None:
    key, _ = store.add_key(account.account_id)
    store.add_usage({key.key_id: (3, 30)})
    book = Book(store, tmp_path)
    roster = Roster(store, book)
    await roster.refresh(now())
    assert (book.reread, book.keys.used(key.key_id)) == (False, (0, 0))
    store.change_key(key.key_id, limits=Limits(requests_per_day=5))
    await roster.refresh(now())
    assert (book.reread, book.keys.used(key.key_id)) == (True, (3, 30))


async def test_without_the_store_nobody_is_let_in(store: Store, account: Account, tmp_path: Path) -> None:
    roster = await fresh(store, tmp_path)
    (tmp_path / "s.db").unlink()
    with pytest.raises(Fault) as caught:
        roster.is_current(now())
    assert (caught.value.reason, caught.value.status) == ("store_unreachable", 503)
    with pytest.raises(Fault):
        await roster.refresh(now())
