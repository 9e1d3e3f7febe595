"""Opening and closing a store, and what stays in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from spiritsafe.errors import ResourceError, UsageError
from spiritsafe.store import Store, open_store


def test_what_is_stored_is_there_when_it_is_opened_again(empty_url: str) -> None:
    with open_store(empty_url) as store:
        account = store.add_account("Acme")
        key, secret = store.add_key(account.account_id)
    with open_store(empty_url) as store:
        assert store.accounts() == [account]
        assert store.find_key(secret) == key


def test_a_killed_process_loses_nothing_that_it_was_told_is_done(url: str) -> None:
    code = (
        "import sys; from spiritsafe.store import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "while True: print(store.add_account('x').account_id, flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True)
    told = [process.stdout.readline().strip() for _ in range(10)]
    os.kill(process.pid, signal.SIGKILL)
    told += [line.strip() for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
    with open_store(url) as store:
        assert set(told) <= {a.account_id for a in store.accounts()}


def test_the_clock_is_the_callers(store: Store, clock) -> None:
    account = store.add_account("Acme")
    assert account.created == clock.now
    clock.move(days=1)
    assert store.add_account("Later").created - account.created == timedelta(days=1)


def test_a_store_in_a_relative_path_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite:///spiritsafe.db") as store:
        assert store.generation() == 0
    assert (tmp_path / "spiritsafe.db").exists()


def test_opening_what_can_not_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    for url, error in (("x://y", UsageError), (f"sqlite:///{tmp_path}", ResourceError)):
        with pytest.raises(error):
            open_store(url)
