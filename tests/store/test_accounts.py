"""Accounts, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spiritsafe.errors import UsageError
from spiritsafe.store.columns import storable
from spiritsafe.store.models import Account

if TYPE_CHECKING:
    from spiritsafe.store import Store


def test_an_account_is_kept_as_it_was_given(store: Store, clock) -> None:
    made = store.add_account("Acme", payment="pay:9f", kind="agency")
    assert made == Account(
        account_id=made.account_id, name="Acme", created=clock.now, payment="pay:9f", kind="agency", status="active"
    )
    assert store.account(made.account_id) == made


def test_accounts_are_listed_oldest_first_and_by_status_or_name(store: Store, clock) -> None:
    first = store.add_account("one")
    clock.move(seconds=1)
    second = store.add_account("two")
    clock.move(seconds=1)
    third = store.add_account("one")
    store.change_account(second.account_id, status="closed")
    assert [a.account_id for a in store.accounts()] == [first.account_id, second.account_id, third.account_id]
    assert [a.account_id for a in store.accounts(status="active")] == [first.account_id, third.account_id]
    assert [a.account_id for a in store.accounts(name="two")] == [second.account_id]


def test_an_id_can_be_chosen_but_not_twice(store: Store) -> None:
    assert store.add_account("Acme", account_id="acme").account_id == "acme"
    with pytest.raises(UsageError, match="already is an account 'acme'"):
        store.add_account("Other", account_id="acme")
    assert store.account("acme").name == "Acme"


def test_a_change_touches_only_what_is_given_and_none_clears(store: Store) -> None:
    made = store.add_account("Acme", payment="pay:9f", kind="agency")
    assert store.change_account(made.account_id, name="Acme Ltd").payment == "pay:9f"
    cleared = store.change_account(made.account_id, payment=None, kind=None)
    assert (cleared.name, cleared.payment, cleared.kind) == ("Acme Ltd", None, None)


def test_closing_revokes_the_keys_and_opening_again_does_not_bring_them_back(store: Store, clock) -> None:
    made, other = store.add_account("Acme"), store.add_account("Other")
    _, secret = store.add_key(made.account_id)
    _, kept = store.add_key(other.account_id)
    store.change_account(made.account_id, status="closed")
    store.change_account(made.account_id, status="active")
    assert store.find_key(secret).state(clock.now) == "revoked"
    assert store.find_key(kept).state(clock.now) == "live"


def test_an_account_that_is_not_there_is_named(store: Store) -> None:
    for ask in (store.account, lambda name: store.change_account(name, kind="x")):
        with pytest.raises(UsageError, match="no account 'acc_none'") as caught:
            ask("acc_none")
        assert "spiritsafe account list" in caught.value.remedy


@pytest.mark.parametrize("name", ["", "  "])
def test_a_name_that_says_nothing_is_refused(store: Store, name: str) -> None:
    with pytest.raises(UsageError, match="name is empty"):
        store.add_account(name)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.text(min_size=1).filter(str.strip), kind=st.none() | st.text())
def test_any_text_comes_back_alike_from_both_databases(store: Store, name: str, kind: str | None) -> None:
    made = store.account(store.add_account(name, kind=kind).account_id)
    assert made.name == storable(name)
    assert made.kind == (None if kind is None else storable(kind))
