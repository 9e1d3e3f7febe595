"""A real SQLite file and a real PostgreSQL server: what takes ``url`` or ``store`` runs once on each."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from spiritsafe.store import Store, open_store
from spiritsafe.store.schema import REVISIONS
from spiritsafe.store.tables import metadata


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> datetime:
        self.now += timedelta(**by)
        return self.now


def _binaries() -> Path | None:
    """The newest PostgreSQL on this machine: Debian keeps it off the PATH."""
    versions = [p for p in Path("/usr/lib/postgresql").glob("*/bin") if (p / "initdb").exists()]
    if versions:
        return max(versions, key=lambda p: int(p.parent.name) if p.parent.name.isdigit() else 0)
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class Postgres:
    """A server in a folder of its own, on a socket there and no port; as root it runs as somebody else."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self.folder = binaries, folder
        self._user: str | None = None
        if os.geteuid() == 0:  # the server refuses to run as root
            names = {entry.pw_name for entry in pwd.getpwall()}
            self._user = "postgres" if "postgres" in names else "nobody"
            shutil.chown(folder, self._user)
        self._server: subprocess.Popen[bytes] | None = None
        self._databases = count()
        self._clean: list[str] = []
        self._call("initdb", "-D", str(folder / "data"), "-U", "safe", "-A", "trust", "-E", "UTF8", "--no-sync")

    def _call(self, program: str, *arguments: str) -> None:
        group = None if self._user is None else pwd.getpwnam(self._user).pw_gid
        subprocess.run(
            [str(self._binaries / program), *arguments],
            check=True,
            capture_output=True,
            cwd=self.folder,
            user=self._user,
            group=group,
            extra_groups=None if group is None else [],
            timeout=60,
        )

    def start(self) -> None:
        options = {"fsync": "off", "listen_addresses": "", "unix_socket_directories": str(self.folder)}
        group = None if self._user is None else pwd.getpwnam(self._user).pw_gid
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    str(self._binaries / "postgres"),
                    *("-D", str(self.folder / "data")),
                    *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self._user,
                group=group,
                extra_groups=None if group is None else [],
            )
        deadline = time.monotonic() + 200
        while True:
            try:
                self._call("pg_isready", "-h", str(self.folder), "-U", "safe")
                return
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline or self._server.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.05)

    def stop(self) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)  # at once, as if it had crashed
            self._server.wait(120)
            self._server = None

    def execute(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(host=str(self.folder), user="safe", dbname="postgres", autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def lend(self, template: str) -> str:
        """A database with today's tables, empty: one that was taken back, since making one is slow."""
        return self._clean.pop() if self._clean else self.new_database(template)

    def take_back(self, name: str) -> None:
        """Empty a database for the next test, unless this one has changed its tables."""
        import psycopg

        try:
            with psycopg.connect(host=str(self.folder), user="safe", dbname=name) as connection:
                connection.execute("SET session_replication_role = replica")  # past triggers and foreign keys
                for table in metadata.tables:
                    connection.execute(f'DELETE FROM "{table}"')
                connection.execute("INSERT INTO generation VALUES (1, 0)")
                found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except psycopg.Error:
            return
        if found == (REVISIONS[-1],):
            self._clean.append(name)

    def url(self, database: str) -> str:
        return f"postgresql://safe@/{database}?host={self.folder}"

    def new_database(self, template: str = "template1") -> str:
        name = f"test_{next(self._databases)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests. ``/tmp``, because a socket's path may have some hundred characters at most."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL on this machine: neither /usr/lib/postgresql/*/bin nor initdb on the PATH")
    pytest.importorskip("psycopg", reason="no PostgreSQL driver: pip install 'spiritsafe[postgres]'")
    folder = Path(tempfile.mkdtemp(prefix="spiritsafe-pg-", dir="/tmp"))
    server = Postgres(binaries, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """A database with the tables and nothing in them, to copy from."""
    name = postgres.new_database()
    open_store(postgres.url(name)).close()
    return name


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a SQLite file."""
    path = tmp_path_factory.mktemp("migrated") / "spiritsafe.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any tables."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path}/spiritsafe.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.new_database())


@pytest.fixture
def url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with the tables of today, and nothing in them."""
    if backend == "sqlite":
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('migrated_file'), tmp_path)}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.lend(request.getfixturevalue("migrated"))
    yield server.url(name)
    server.take_back(name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[Store]:
    with open_store(url, clock=clock, lock_seconds=1.0) as opened:
        yield opened
