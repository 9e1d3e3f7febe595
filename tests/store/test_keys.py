"""API keys, on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from spiritsafe.errors import UsageError
from spiritsafe.store import hash_secret, open_store
from spiritsafe.store.models import Limits
from spiritsafe.store.secrets import new_secret

if TYPE_CHECKING:
    from spiritsafe.store import Store

LIMITS = Limits(requests_per_minute=60, tokens_per_minute=9_000, requests_per_day=1_000, tokens_per_day=2**40)


@pytest.fixture
def account(store: Store) -> str:
    return store.add_account("Acme").account_id


def test_a_key_is_found_by_its_secret_and_by_its_hash(store: Store, account: str, clock) -> None:
    key, secret = store.add_key(account, name="laptop", limits=LIMITS, expires=clock.now + timedelta(days=90))
    assert store.find_key(secret) == store.find_key(hash_secret(secret)) == store.key(key.key_id) == key
    assert (key.account_id, key.name, key.limits, key.created) == (account, "laptop", LIMITS, clock.now)
    assert secret.startswith(f"{key.prefix}_")
    assert key.hash == hash_secret(secret)


def test_the_secret_is_kept_nowhere(store: Store, account: str, backend: str, tmp_path) -> None:
    _, secret = store.add_key(account)
    random_part = secret.rsplit("_", 1)[1]
    assert random_part not in repr(store.keys())
    if backend == "sqlite":
        files = list(tmp_path.iterdir())
        assert files
        assert not [f for f in files if random_part.encode() in f.read_bytes()]


def test_a_secret_that_was_never_given_out_finds_nothing(store: Store, account: str) -> None:
    store.add_key(account)
    for wrong in (new_secret()[1], "", "sk-nonsense", "ssk_\x00", "\ud800"):
        assert store.find_key(wrong) is None
    assert store.find_key(b"\x00" * 32) is None


def test_keys_are_listed_by_account(store: Store, account: str, clock) -> None:
    other = store.add_account("Other").account_id
    first = store.add_key(account)[0]
    clock.move(seconds=1)
    second = store.add_key(other)[0]
    assert store.keys() == [first, second]
    assert store.keys(account_id=other) == [second]


def test_an_expired_key_is_found_and_says_so(store: Store, account: str, clock) -> None:
    _, secret = store.add_key(account, expires=clock.now + timedelta(hours=1))
    assert store.find_key(secret).state(clock.now) == "live"
    clock.move(hours=1)
    assert store.find_key(secret).state(clock.now) == "expired"


def test_a_revocation_holds_at_once_in_every_process(store: Store, account: str, url: str, clock) -> None:
    key, secret = store.add_key(account)
    with open_store(url) as other:
        assert other.find_key(secret).revoked is None
        revoked = store.revoke_key(key.key_id)
        assert other.find_key(secret) == revoked
    assert revoked.revoked == clock.now
    clock.move(days=1)
    assert store.revoke_key(key.key_id) == revoked, "the time of the first revocation stays"


def test_rotation_lets_both_keys_work_for_the_overlap(store: Store, account: str, clock) -> None:
    old, old_secret = store.add_key(account, name="ci", limits=LIMITS, expires=clock.now + timedelta(days=90))
    clock.move(days=30)
    new, new_secret = store.rotate_key(old.key_id, overlap=timedelta(days=1))
    assert (new.account_id, new.name, new.limits) == (account, "ci", LIMITS)
    assert new.expires == clock.now + timedelta(days=90), "as long a life as the old one had"
    assert store.key(old.key_id).rotated_to == new.key_id
    clock.move(hours=23)
    assert [store.find_key(s).state(clock.now) for s in (old_secret, new_secret)] == ["live", "live"]
    clock.move(hours=1)
    assert [store.find_key(s).state(clock.now) for s in (old_secret, new_secret)] == ["expired", "live"]


def test_rotation_never_lengthens_the_old_keys_life(store: Store, account: str, clock) -> None:
    ends = clock.now + timedelta(hours=2)
    old, _ = store.add_key(account, expires=ends)
    store.rotate_key(old.key_id, overlap=timedelta(days=7))
    assert store.key(old.key_id).expires == ends


def test_rotation_without_overlap_ends_the_old_key_and_without_expiry_gives_none(store, account, clock) -> None:
    old, secret = store.add_key(account)
    new, _ = store.rotate_key(old.key_id, overlap=timedelta(0))
    assert store.find_key(secret).state(clock.now) == "expired"
    assert new.expires is None


def test_only_a_live_key_is_rotated_and_only_once(store: Store, account: str, clock) -> None:
    day = timedelta(days=1)
    key, _ = store.add_key(account)
    new, _ = store.rotate_key(key.key_id, overlap=day)
    with pytest.raises(UsageError, match=r"rotated to .* already") as caught:
        store.rotate_key(key.key_id, overlap=day)
    assert new.key_id in caught.value.remedy
    store.revoke_key(new.key_id)
    with pytest.raises(UsageError, match="is revoked"):
        store.rotate_key(new.key_id, overlap=day)
    clock.move(days=2)
    with pytest.raises(UsageError, match="is expired"):
        store.rotate_key(key.key_id, overlap=day)
    with pytest.raises(UsageError, match="overlap is negative"):
        store.rotate_key(key.key_id, overlap=-day)
    assert len(store.keys()) == 2


def test_a_change_touches_only_what_is_given(store: Store, account: str, clock) -> None:
    key, _ = store.add_key(account, name="laptop", limits=LIMITS)
    expires = clock.now + timedelta(days=1)
    changed = store.change_key(key.key_id, expires=expires)
    assert (changed.name, changed.limits, changed.expires) == ("laptop", LIMITS, expires)
    changed = store.change_key(key.key_id, limits=Limits(requests_per_day=5), name=None)
    assert (changed.name, changed.limits, changed.expires) == (None, Limits(requests_per_day=5), expires)
    clock.move(days=2)
    assert store.change_key(key.key_id, expires=None).state(clock.now) == "live"


def test_a_revoked_key_stays_as_it_is(store: Store, account: str) -> None:
    key, _ = store.add_key(account)
    store.revoke_key(key.key_id)
    with pytest.raises(UsageError, match="is revoked"):
        store.change_key(key.key_id, name="x")


def test_a_closed_account_gets_no_key(store: Store, account: str) -> None:
    store.change_account(account, status="closed")
    with pytest.raises(UsageError, match="is closed"):
        store.add_key(account)
    assert store.keys() == []


@pytest.mark.parametrize("wrong", [0, -1, 2**53 + 1])
def test_a_limit_is_a_positive_number(store: Store, account: str, wrong: int) -> None:
    with pytest.raises(UsageError, match="tokens per day can't be"):
        store.add_key(account, limits=Limits(tokens_per_day=wrong))
    key, _ = store.add_key(account)
    with pytest.raises(UsageError, match="requests per minute can't be"):
        store.change_key(key.key_id, limits=Limits(requests_per_minute=wrong))


def test_an_expiry_lies_ahead_and_has_a_zone(store: Store, account: str, clock) -> None:
    with pytest.raises(UsageError, match="in the past"):
        store.add_key(account, expires=clock.now)
    with pytest.raises(UsageError, match="no time zone"):
        store.add_key(account, expires=datetime(2030, 1, 1))  # noqa: DTZ001
    key, _ = store.add_key(account)
    with pytest.raises(UsageError, match="in the past"):
        store.change_key(key.key_id, expires=clock.now)


def test_a_key_or_account_that_is_not_there_is_named(store: Store) -> None:
    for ask in (store.key, store.revoke_key, lambda k: store.rotate_key(k, overlap=timedelta(0)), store.change_key):
        with pytest.raises(UsageError, match="no key 'key_none'"):
            ask("key_none")
    with pytest.raises(UsageError, match="no account 'acc_none'"):
        store.add_key("acc_none")
