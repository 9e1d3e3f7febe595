"""The data folder and the database, opened in one place."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from spiritsafe.cli.data import account_named, database_url, key_named, make_folder, opened
from spiritsafe.errors import ResourceError, UsageError


def test_the_database_lies_in_the_folder_unless_it_is_elsewhere(tmp_path: Path) -> None:
    assert database_url(tmp_path, None) == f"sqlite:///{tmp_path}/spiritsafe.db"
    assert database_url(tmp_path, "postgresql://u@h/n") == "postgresql://u@h/n"


def test_a_folder_is_made_for_its_owner_alone_and_only_when_asked(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with pytest.raises(UsageError, match="no spiritsafe data here") as caught, opened(folder, None):
        pass
    assert "--data" in caught.value.remedy
    assert not folder.exists()
    with opened(folder, None, create=True) as store:
        store.add_account("Acme")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with opened(folder, None) as store:
        assert len(store.accounts()) == 1


def test_a_database_elsewhere_needs_no_folder(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    with opened(tmp_path / "none", url, create=True) as store:
        store.add_account("Acme")
    with opened(tmp_path / "none", url) as store:
        assert len(store.accounts()) == 1
    assert not (tmp_path / "none").exists()


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(ResourceError, match="data folder can't be made") as caught:
            make_folder(folder)
        assert caught.value.where == str(folder)


def test_accounts_are_known_by_id_and_by_a_name_that_no_other_has(tmp_path: Path) -> None:
    with opened(tmp_path, None, create=True) as store:
        one = store.add_account("Acme")
        assert account_named(store, "Acme") == account_named(store, one.account_id) == one
        two = store.add_account("Acme")
        with pytest.raises(UsageError, match="2 accounts are named 'Acme'") as caught:
            account_named(store, "Acme")
        assert one.account_id in caught.value.remedy
        assert two.account_id in caught.value.remedy
        third = store.add_account("Other", account_id="Acme")
        assert account_named(store, "Acme") == third, "an id comes before names"
        with pytest.raises(UsageError, match="no account 'acc_none'"):
            account_named(store, "acc_none")


def test_keys_are_known_by_id_and_by_what_they_start_with(tmp_path: Path) -> None:
    with opened(tmp_path, None, create=True) as store:
        account = store.add_account("Acme").account_id
        key, secret = store.add_key(account)
        store.add_key(account)
        assert key_named(store, key.key_id) == key_named(store, key.prefix) == key
        for wrong in (secret, "ssk_", "key_none"):
            with pytest.raises(UsageError, match="no key"):
                key_named(store, wrong)
