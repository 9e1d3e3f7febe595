"""Every way in which a database can fail has its error and its remedy; the failures here are real ones."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import event, exc, text

from spiritsafe.errors import InputError, ResourceError, SpiritsafeError, UsageError
from spiritsafe.store import Store, open_store
from spiritsafe.store.engine import explain, make_engine, parse_url, shown, translated, use_wal


def raises(error: type[SpiritsafeError], message: str, remedy: str):
    """Expect ``error`` and look at its remedy too."""
    return pytest.raises(error, match=message, check=lambda e: remedy in e.remedy)


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///x.db", "sqlite+pysqlite"),
        ("sqlite+pysqlite:////tmp/x.db", "sqlite+pysqlite"),
        ("postgresql://u@h/n", "postgresql+psycopg"),
        ("postgres://u@h/n", "postgresql+psycopg"),
        ("postgresql+psycopg://u@h/n", "postgresql+psycopg"),
    ],
)
def test_the_driver_is_filled_in(url: str, driver: str) -> None:
    assert parse_url(url).drivername == driver


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "not a database URL"),
        ("spiritsafe.db", "not a database URL"),
        ("postgresql://u@h:port/n", "not a database URL"),
        ("mysql://u@h/n", "no support for 'mysql' databases"),
        ("postgresql+asyncpg://u@h/n", "no support for 'postgresql.asyncpg' databases"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_a_url_that_can_not_be_used_is_wrong_usage(url: str, message: str) -> None:
    with raises(UsageError, message, "sqlite:///PATH") as caught:
        parse_url(url)
    assert caught.value.exit_code == 2


def test_a_password_is_never_printed() -> None:
    assert "secret" not in shown(parse_url("postgresql://u:secret@h/n"))
    assert "secret" not in shown(parse_url("postgresql://u@h/n?password=secret"))
    for url in ("mysql://u:secret@h/n", "postgresql//u:secret@h/n"):
        with pytest.raises(UsageError) as caught:
            parse_url(url)
        assert "secret" not in str(caught.value)


def test_a_missing_driver_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with raises(UsageError, "not installed", "pip install 'spiritsafe[postgres]'"):
        open_store("postgresql://u@h/n")


def test_connections_are_set_up_the_same_way_every_time(tmp_path: Path) -> None:
    engine = make_engine(parse_url(f"sqlite:///{tmp_path}/x.db"), 2.5)
    use_wal(engine)
    with engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 2500}


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/spiritsafe.db") as store:
        store.add_account("Acme")
        assert len(list(tmp_path.iterdir())) == 3, "the database, its log and its index"
        for path in tmp_path.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with raises(ResourceError, f"no folder {tmp_path}/none", "Create the folder"):
        open_store(f"sqlite:///{tmp_path}/none/x.db")


def test_a_path_that_can_not_be_opened_is_named(tmp_path: Path) -> None:
    with raises(ResourceError, "can't be opened", "Check the path"):
        open_store(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"Dear diary, " * 100)
    with raises(InputError, "not a SQLite database", "Name another file"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == b"Dear diary, " * 100


def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with open_store(f"sqlite:///{path}") as store:
        for i in range(200):
            store.add_account(f"account {i}")
    content = path.read_bytes()
    path.write_bytes(content[:4096] + os.urandom(len(content) - 4096))
    with raises(InputError, "is damaged", "backup"), open_store(f"sqlite:///{path}") as store:
        store.accounts()


def test_a_database_that_can_not_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    connection = sqlite3.connect(f"file:{tmp_path}/x.db?mode=ro", uri=True)
    with raises(ResourceError, "can't be written", "permissions"), translated("x.db"):
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()


def test_a_lock_is_waited_for_and_then_named(store: Store, url: str) -> None:
    other = make_engine(parse_url(url))
    with other.connect().execution_options(spiritsafe_writes=True) as connection, connection.begin():
        connection.execute(text("UPDATE generation SET value = value"))
        with raises(ResourceError, "locked by another process", "Try again"):
            store.add_account("Acme")
        assert store.accounts() == [], "readers don't wait"
        letting_go = threading.Timer(0.2, connection.rollback)
        letting_go.start()
        made = store.add_account("Acme")
        letting_go.join()
    assert store.accounts() == [made]
    other.dispose()


def test_a_full_disk_keeps_nothing_of_the_change(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/x.db") as store:
        account = store.add_account("Acme")
        pages = "PRAGMA max_page_count = 1"  # SQLite takes the present size instead, and then not a page more

        @event.listens_for(store._engine, "begin")
        def no_more(connection) -> None:
            connection.exec_driver_sql(pages)

        with raises(ResourceError, "disk is full", "Free some space"):
            store.add_account("A" * 100_000)
        assert store.accounts() == [account]
        pages = "PRAGMA max_page_count = 1000000"
        assert store.add_account("B" * 100_000).name == "B" * 100_000


def test_a_disk_that_fails_while_writing_keeps_nothing_of_the_change(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys\nfrom spiritsafe.errors import ResourceError\n"
        "from spiritsafe.store import open_store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with open_store(sys.argv[1]) as store:\n"
        "    store.add_account('Acme')\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))\n"
        "    try: store.add_account('A' * 1_000_000)\n"
        "    except ResourceError as error: print(error)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "    print([a.name for a in store.accounts()])"
    )
    if resource.getrlimit(resource.RLIMIT_FSIZE)[1] != resource.RLIM_INFINITY:
        pytest.skip("the size of files is limited here already")
    url = f"sqlite:///{tmp_path}/x.db"
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True)
    failed, names = done.stdout.splitlines()
    assert "disk" in failed
    assert "nothing of this" in failed
    assert names == "['Acme']"


def test_all_connections_in_use_is_said_to_be_so(url: str) -> None:
    with open_store(url, lock_seconds=0.1) as store:
        held = [store._engine.connect() for _ in range(15)]
        with raises(ResourceError, "all connections to the database are in use", "fewer threads"):
            store.accounts()
        for connection in held:
            connection.close()
        assert store.accounts() == []


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with raises(ResourceError, "can't be reached", "Check that the server runs"):
        open_store(f"postgresql://safe:secret@/x?host={tmp_path}")


def test_a_database_or_user_that_the_server_does_not_know_is_named(postgres) -> None:
    for url, words in (
        (postgres.url("none"), 'database "none" does not exist'),
        (postgres.url("postgres").replace("safe@", "joe@"), 'role "joe" does not exist'),
    ):
        with raises(ResourceError, words, "user, password and database"):
            open_store(url)


def test_a_server_that_goes_away_is_named_and_one_that_comes_back_is_used(postgres, migrated: str) -> None:
    with open_store(postgres.url(postgres.new_database(migrated)), lock_seconds=1) as store:
        account = store.add_account("Acme")
        with raises(ResourceError, "shutting down|can't be reached", ""), store._write() as connection:
            postgres.stop()
            connection.execute(text("SELECT 1"))
        with raises(ResourceError, "can't be reached", "Check that the server runs"):
            store.accounts()
        postgres.start()
        assert store.accounts() == [account]


@pytest.mark.parametrize(
    ("code", "message", "remedy"),
    [
        ("53100", "disk is full", "Free some space"),
        ("53200", "is out of something", "Give it"),
        ("25006", "can't be written", "primary"),
        ("57P01", "shutting down", "Try again"),
        ("08006", "can't be reached", "Check that the server runs"),
        ("XX000", "can't do this", "See what it says"),
    ],
)
def test_what_the_server_says_is_understood(postgres, migrated: str, code: str, message: str, remedy: str) -> None:
    with open_store(postgres.url(postgres.new_database(migrated))) as store:
        with store._write() as connection:
            body = f"BEGIN RAISE EXCEPTION 'no way' USING ERRCODE = '{code}'; END"
            connection.execute(text(f"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"))
            connection.execute(text("CREATE TRIGGER t BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION fail()"))
        with raises(ResourceError, f"{message}.*no way", remedy):
            store.add_account("Acme")
        assert store.accounts() == []


def test_a_right_that_is_lacking_is_named(postgres, migrated: str) -> None:
    name = postgres.new_database(migrated)
    postgres.execute("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    with raises(ResourceError, "lacks a right", "Grant it"):
        open_store(postgres.url(name).replace("safe@", "guest@"))


def test_a_standby_is_understood_to_be_read_only(postgres, migrated: str) -> None:
    url = postgres.url(postgres.new_database(migrated)) + "&options=-c%20default_transaction_read_only%3Don"
    with open_store(url) as store, raises(ResourceError, "can't be written", "primary"):
        store.add_account("Acme")


def test_a_table_that_was_taken_away_is_named(store: Store) -> None:
    with store._write() as connection:
        connection.execute(text("DROP TABLE usage"))
    with raises(ResourceError, "can't do this.*usage", "restore its tables"):
        store.usage()


def test_a_broken_constraint_is_left_to_the_caller(store: Store) -> None:
    with pytest.raises(exc.IntegrityError), store._write() as connection:
        connection.execute(text("INSERT INTO generation VALUES (2, 0)"))


def test_an_error_without_words_still_says_what_to_do() -> None:
    error = explain(sqlite3.OperationalError(), "here")
    assert str(error).startswith("here: the database can't be opened. Check")
