"""Noticing changes: at once, from any thread or process, and never silently not at all."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from spiritsafe.errors import ResourceError, UsageError
from spiritsafe.store import Store, new_id, open_store
from spiritsafe.store.engine import make_engine, parse_url
from spiritsafe.store.generation import HEARTBEAT, PATIENCE, PostgresWatch, SqliteWatch, bump, watch
from spiritsafe.store.models import Decision

if TYPE_CHECKING:
    from conftest import Postgres


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something that happens elsewhere; generous, since nothing here is timed."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def test_every_change_that_gateways_enforce_is_noticed_and_nothing_else(store: Store, clock) -> None:
    account = store.add_account("Acme").account_id
    key = store.add_key(account)[0].key_id
    grant = store.add_grant(account, model="*", purpose="p", by="ann").grant_id
    seen = [0]

    def changed(do: Callable[[], object]) -> bool:
        """Whether ``do`` moves the generation; a listener may hear of it a moment later."""
        with store._read() as connection:
            before = connection.execute(text("SELECT value FROM generation")).scalar_one()
        do()
        with store._read() as connection:
            after = connection.execute(text("SELECT value FROM generation")).scalar_one()
        until(lambda: store.generation() == after)
        seen.append(after)
        return after > before

    def decide(decision_id: str, *, pending: bool = False) -> Callable[[], object]:
        return lambda: store.decide(
            Decision(
                decision_id=decision_id,
                time=clock.now,
                subject=account,
                subject_kind="account",
                accounts=(account,),
                action="throttle",
                rule="r",
                reasons=(),
                evidence=(),
                by="ann",
                status="pending" if pending else "in_force",
                needs_person=pending,
                expires=clock.now + timedelta(hours=1),
            )
        )

    assert changed(lambda: store.add_account("Other"))
    assert changed(lambda: store.change_account(account, kind="x"))
    assert changed(lambda: store.add_key(account))
    assert changed(lambda: store.change_key(key, name="x"))
    assert changed(lambda: store.rotate_key(key, overlap=timedelta(0)))
    assert changed(lambda: store.revoke_key(key))
    assert changed(lambda: store.add_grant(account, model="*", purpose="p", by="ann"))
    assert changed(lambda: store.change_grant(grant, purpose="q"))
    assert changed(lambda: store.revoke_grant(grant))
    assert changed(decide("d1"))
    assert changed(decide("d2", pending=True))
    assert changed(lambda: store.confirm("d2", "ann"))
    assert changed(lambda: store.reverse("d2", "ann", "x"))
    assert not changed(lambda: store.appeal("d1", "x"))
    assert not changed(lambda: store.add_usage({key: (1, 1)}, {grant: (1, 1)}))
    assert not changed(lambda: store.open_case("ring", "ann"))
    assert not changed(store.expire)
    clock.move(hours=1)
    assert changed(store.expire)
    assert seen == sorted(seen)


def test_a_change_in_another_process_is_noticed(store: Store, url: str) -> None:
    before = store.generation()
    code = "import sys; from spiritsafe.store import open_store\nwith open_store(sys.argv[1]) as s: s.add_account('x')"
    subprocess.run([sys.executable, "-c", code, url], check=True)
    until(lambda: store.generation() == before + 1)


def test_a_change_that_is_refused_or_taken_back_leaves_no_trace(store: Store) -> None:
    before = store.generation()
    with pytest.raises(UsageError):
        store.revoke_key("key_none")
    with pytest.raises(ZeroDivisionError), store._change():
        _ = 1 / 0
    assert store.generation() == before


def test_changes_at_once_are_all_counted(store: Store) -> None:
    before = store.generation()
    threads = [threading.Thread(target=lambda: [store.add_account("x") for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: store.generation() == before + 20)
    assert len(store.accounts()) == 20


def test_each_database_has_its_watch(url: str, backend: str) -> None:
    engine = make_engine(parse_url(url))
    found = watch(engine)
    assert isinstance(found, SqliteWatch if backend == "sqlite" else PostgresWatch)
    with engine.begin() as connection:
        bump(connection)
    until(lambda: found.current() == 1)
    found.close()
    engine.dispose()


def test_many_threads_may_ask_at_once(store: Store) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.extend(store.generation() for _ in range(200))) for _ in range(4)]
    for thread in threads:
        thread.start()
    store.add_account("x")
    for thread in threads:
        thread.join()
    assert len(found) == 800
    assert set(found) <= {0, 1}


def test_a_file_that_was_removed_or_replaced_is_no_longer_believed(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with open_store(f"sqlite:///{path}") as store:
        store.generation()
        shutil.copy(path, tmp_path / "copy.db")
        path.rename(tmp_path / "moved.db")
        with pytest.raises(ResourceError, match="removed or replaced") as caught:
            store.generation()
        assert "restart" in caught.value.remedy
        (tmp_path / "copy.db").rename(path)
        with pytest.raises(ResourceError, match="removed or replaced"):
            store.generation()


def test_a_file_that_breaks_while_in_use_is_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with open_store(f"sqlite:///{path}") as store:
        store.generation()
        connection = sqlite3.connect(path)
        connection.execute("DROP TABLE generation")
        connection.close()
        with pytest.raises(ResourceError, match="no such table: generation"):
            store.generation()


def test_a_lost_notification_costs_a_heartbeat(postgres: Postgres, migrated: str) -> None:
    engine = make_engine(parse_url(postgres.url(postgres.new_database(migrated))))
    found = PostgresWatch(engine)
    assert found.current() == 0
    with engine.begin() as connection:
        connection.execute(text("UPDATE generation SET value = 7"))
    until(lambda: found.current() == 7)
    assert HEARTBEAT < PATIENCE
    found.close()
    engine.dispose()


def test_a_silent_server_is_believed_only_for_so_long(postgres: Postgres, migrated: str) -> None:
    engine = make_engine(parse_url(postgres.url(postgres.new_database(migrated))))
    found = PostgresWatch(engine, patience=2 * HEARTBEAT)
    try:
        assert found.current() == 0
        postgres.stop()
        assert found.current() == 0, "for a moment the last answer stands"

        def refused() -> bool:
            try:
                found.current()
            except ResourceError as error:
                return "has not answered for" in error.message
            return False

        until(refused)
        postgres.start()
        with engine.begin() as connection:
            bump(connection)
        until(lambda: not refused() and found.current() == 1)
    finally:
        postgres.stop()
        postgres.start()
        found.close()
        engine.dispose()


def test_a_store_that_never_asked_has_no_thread(postgres: Postgres, migrated: str) -> None:
    names = lambda: [t.name for t in threading.enumerate()]  # noqa: E731
    with open_store(postgres.url(postgres.new_database(migrated))) as store:
        store.add_account(new_id("x"))
        assert "spiritsafe-generation" not in names()
        store.generation()
        assert "spiritsafe-generation" in names()
    assert "spiritsafe-generation" not in names()
