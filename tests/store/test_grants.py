"""Grants, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from spiritsafe.errors import UsageError

if TYPE_CHECKING:
    from spiritsafe.store import Store


@pytest.fixture
def account(store: Store) -> str:
    return store.add_account("Acme").account_id


def test_a_grant_is_kept_as_it_was_given(store: Store, account: str, clock) -> None:
    ends = clock.now + timedelta(days=30)
    made = store.add_grant(
        account, model="small-*", purpose="on-device student", by="ann", expires=ends, quota_requests=5, quota_tokens=7
    )
    assert store.grant(made.grant_id) == made
    assert (made.model, made.purpose, made.by, made.expires) == ("small-*", "on-device student", "ann", ends)
    assert (made.quota_requests, made.quota_tokens, made.used_requests, made.used_tokens) == (5, 7, 0, 0)
    assert made.covers("small-1", clock.now)


def test_grants_are_listed_by_account_and_liveness(store: Store, account: str, clock) -> None:
    other = store.add_account("Other").account_id
    kept = store.add_grant(account, model="*", purpose="p", by="ann")
    clock.move(seconds=1)
    short = store.add_grant(account, model="*", purpose="p", by="ann", expires=clock.now + timedelta(seconds=9))
    used_up = store.add_grant(other, model="*", purpose="p", by="ann", quota_tokens=10)
    revoked = store.add_grant(other, model="*", purpose="p", by="ann")
    store.revoke_grant(revoked.grant_id)
    store.add_usage({}, {used_up.grant_id: (1, 10)})
    assert {g.grant_id for g in store.grants(live=True)} == {kept.grant_id, short.grant_id}
    clock.move(seconds=9)
    assert store.grants(live=True) == [kept]
    assert store.grants(account_id=account) == [kept, short]
    assert len(store.grants()) == 4


def test_a_revocation_is_for_good(store: Store, account: str, clock) -> None:
    made = store.add_grant(account, model="*", purpose="p", by="ann")
    revoked = store.revoke_grant(made.grant_id)
    assert revoked.revoked == clock.now
    assert not revoked.covers("any", clock.now)
    clock.move(days=1)
    assert store.revoke_grant(made.grant_id) == revoked
    with pytest.raises(UsageError, match="is revoked"):
        store.change_grant(made.grant_id, purpose="q")


def test_a_change_touches_only_what_is_given(store: Store, account: str, clock) -> None:
    made = store.add_grant(account, model="m", purpose="p", by="ann", quota_tokens=7)
    ends = clock.now + timedelta(days=1)
    changed = store.change_grant(made.grant_id, expires=ends, quota_requests=3)
    assert (changed.purpose, changed.expires, changed.quota_requests, changed.quota_tokens) == ("p", ends, 3, 7)
    changed = store.change_grant(made.grant_id, expires=None, quota_tokens=None, purpose="q")
    assert (changed.purpose, changed.expires, changed.quota_requests, changed.quota_tokens) == ("q", None, 3, None)


def test_what_makes_no_sense_is_refused(store: Store, account: str, clock) -> None:
    def add(**change: object) -> object:
        return store.add_grant(account, **({"model": "m", "purpose": "p", "by": "ann"} | change))

    for name in ("model", "purpose", "by"):
        with pytest.raises(UsageError, match=f"the {name} is empty"):
            add(**{name: " "})
    with pytest.raises(UsageError, match="quota tokens can't be 0"):
        add(quota_tokens=0)
    with pytest.raises(UsageError, match="in the past"):
        add(expires=clock.now)
    made = add()
    with pytest.raises(UsageError, match="quota requests can't be -1"):
        store.change_grant(made.grant_id, quota_requests=-1)
    with pytest.raises(UsageError, match="purpose is empty"):
        store.change_grant(made.grant_id, purpose="")
    with pytest.raises(UsageError, match="in the past"):
        store.change_grant(made.grant_id, expires=clock.now)
    assert store.grants() == [made]


def test_a_grant_or_account_that_is_not_there_is_named(store: Store) -> None:
    for ask in (store.grant, store.revoke_grant, store.change_grant):
        with pytest.raises(UsageError, match="no grant 'grt_none'"):
            ask("grt_none")
    with pytest.raises(UsageError, match="no account 'acc_none'"):
        store.add_grant("acc_none", model="m", purpose="p", by="ann")
