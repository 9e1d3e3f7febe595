"""Opening a store brings its tables up to date, once, and refuses those of a newer version."""

from __future__ import annotations

import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from spiritsafe.errors import InputError
from spiritsafe.store import open_store
from spiritsafe.store.engine import make_engine, parse_url
from spiritsafe.store.schema import MIGRATIONS, REVISIONS, bring_up_to_date, revision


@pytest.fixture
def engine(empty_url: str):
    made = make_engine(parse_url(empty_url))
    yield made
    made.dispose()


def test_the_revisions_known_by_heart_are_those_in_the_folder() -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    assert [s.revision for s in reversed(list(script.walk_revisions()))] == list(REVISIONS)


def test_an_empty_database_gets_the_tables_and_a_second_opening_changes_nothing(engine) -> None:
    with engine.connect() as connection:
        assert revision(connection) is None
    bring_up_to_date(engine)
    with engine.connect() as connection:
        assert revision(connection) == REVISIONS[-1]
        assert connection.execute(text("SELECT value FROM generation")).scalar() == 0
    bring_up_to_date(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM generation")).scalar() == 1


def test_an_up_to_date_database_opens_without_alembic(url: str) -> None:
    code = (
        "import sys; from spiritsafe.store import open_store; open_store(sys.argv[1]).close();"
        "print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_database_from_a_newer_version_is_left_alone(url: str) -> None:
    engine = make_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(InputError, match=f"has schema 9999, and this version knows up to {REVISIONS[-1]}") as caught:
        open_store(url)
    assert "Upgrade spiritsafe" in caught.value.remedy
    with pytest.raises(InputError):
        open_store(url)


def test_a_migration_that_fails_leaves_nothing_behind(engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE usage (in_the_way INTEGER)"))
    with pytest.raises(Exception, match="usage"):
        bring_up_to_date(engine)
    assert inspect(engine).get_table_names() == ["usage"]
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE usage"))
    bring_up_to_date(engine)
    assert "accounts" in inspect(engine).get_table_names()


def test_processes_that_open_an_empty_database_together_all_succeed(empty_url: str) -> None:
    code = (
        "import sys; from spiritsafe.store import open_store\n"
        "sys.stdin.readline()\n"
        "with open_store(sys.argv[1]) as store: store.add_account(sys.argv[2])"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, empty_url, f"a{i}"], stdin=subprocess.PIPE) for i in range(4)
    ]
    for process in started:
        process.stdin.write(b"go\n")
        process.stdin.close()
    assert [process.wait(120) for process in started] == [0, 0, 0, 0]
    with open_store(empty_url) as store:
        assert sorted(a.name for a in store.accounts()) == ["a0", "a1", "a2", "a3"]
