"""The stage: the real gateway in a process of its own, before the real model, on a free port of this machine."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from spiritsafe.errors import ResourceError
from spiritsafe.record.identity import open_identity
from spiritsafe.store import open_store

if TYPE_CHECKING:
    from spiritsafe.drill.scenario import Scenario

PATIENCE = 300.0
"""Seconds for the gateway and its model to be ready: the first time the weights are converted, which takes a minute."""

FAREWELL = 30.0


class Stage(msgspec.Struct, frozen=True):
    """A running gateway: where it is reached, where its data lies, its process, and what it says."""

    url: str
    data: Path
    log: Path
    pid: int


def free_port() -> int:
    """A port of the loopback address that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def settings(data: Path, port: int, teacher: str, twinned: float) -> dict[str, object]:
    """The gateway's settings for a drill: this machine as the trusted proxy, a watcher that looks often,
    and segments small enough that several are sealed within minutes.
    """
    return {
        "data": str(data),
        "host": "127.0.0.1",
        "port": port,
        "teacher": teacher,
        "trust": {"proxies": ["127.0.0.1/32"]},
        "record": {"roll_rows": 250},
        "watch": {"every": "2s"},
        "twins": {"share": twinned},
        "timeouts": {"first_byte": "2m", "idle": "2m"},
    }


def cast_into(scenario: Scenario, data: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Open an account and a key for every actor, as an operator would; returns ids and secrets by name."""
    identity = open_identity(data)
    ids, secrets = {}, {}
    with open_store(f"sqlite:///{data.absolute() / 'spiritsafe.db'}") as store:
        for actor in scenario.actors:
            account = store.add_account(actor.name, payment=identity.of("payment", actor.payment))
            _, secret = store.add_key(account.account_id, name="drill")
            ids[actor.name], secrets[actor.name] = account.account_id, secret
    return ids, secrets


@contextmanager
def raised(
    out: Path, data: Path, teacher: str, waiting: Callable[[float], None], *, twinned: float = 0.0
) -> Iterator[Stage]:
    """Start ``spiritsafe serve`` on ``data`` and stop it, with all its children, at the end.

    ``waiting`` is called with the seconds passed until it is ready. Raises ``ResourceError`` with the
    gateway's own last words if it ends or isn't ready in time.
    """
    port = free_port()
    config, log = out / "gateway.yaml", out / "gateway.log"
    config.write_text(json.dumps(settings(data, port, teacher, twinned), indent=1), encoding="utf-8")
    command = [sys.executable, "-c", "from spiritsafe.cli import main; main()", "serve", "--config", str(config)]
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        _until_ready(process, port, log, waiting)
        yield Stage(url=f"http://127.0.0.1:{port}", data=data, log=log, pid=process.pid)
    finally:
        _end(process)


def _until_ready(process: subprocess.Popen[bytes], port: int, log: Path, waiting: Callable[[float], None]) -> None:
    began = time.monotonic()
    while (passed := time.monotonic() - began) < PATIENCE:
        if process.poll() is not None:
            raise failed(f"the gateway ended with {process.returncode} before it was ready", log)
        if _ready(port):
            return
        waiting(passed)
        time.sleep(0.25)
    raise failed(f"the gateway was not ready after {PATIENCE:.0f} seconds", log)


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def failed(message: str, log: Path) -> ResourceError:
    """What is raised for a process that failed, with the last line of its log."""
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    last = lines[-1] if lines else "it said nothing"
    return ResourceError(f"{message}: {last}", where=str(log), remedy="Read that file; the drill kept it.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop and wait; then end whatever of its session is left."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(FAREWELL)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
