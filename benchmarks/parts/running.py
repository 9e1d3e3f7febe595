"""Programs under measurement: begun, waited for, timed by the kernel's own account, ended by their id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spiritsafe.store import open_store

HERE = Path(__file__).resolve().parent.parent

Json = dict[str, Any]


@contextmanager
def upstream() -> Iterator[int]:
    """The fake upstream; gives its port."""
    process = subprocess.Popen([sys.executable, "-m", "parts.upstream"], cwd=HERE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["port"]
    finally:
        end(process)


def new_key(data: Path) -> str:
    """Make an account with a key in the data folder; gives the secret."""
    data.mkdir(parents=True, exist_ok=True)
    with open_store(f"sqlite:///{data / 'spiritsafe.db'}") as store:
        return store.add_key(store.add_account("bench").account_id)[1]


def serve(data: Path, settings: Json) -> tuple[subprocess.Popen[bytes], Json]:
    """Begin ``spiritsafe serve`` on a free port and wait until it says that it serves; gives what it said."""
    config = data.with_suffix(".yaml")
    config.write_text(json.dumps({"data": str(data), "port": 0, **settings}), encoding="utf-8")
    program = "from spiritsafe.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", "--config", str(config), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    said = b""
    while not said.rstrip().endswith(b"}"):
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the gateway ended with {process.wait()} before it served")
        said += line
    return process, json.loads(said)


def end(process: subprocess.Popen[bytes], how: int = signal.SIGTERM) -> None:
    """Send a signal and wait."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def children(pid: int) -> list[int]:
    """The process and all that it began, directly or not, as they are now."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += children(int(child))
    return found


def cpu(pids: list[int]) -> float:
    """Seconds that the threads of these processes have spent on a CPU, as the scheduler counts them."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory(pids: list[int]) -> float:
    """Resident memory of these processes together, MB."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in pids) / 1e6


def wait_for_port(port: int, process: subprocess.Popen[bytes], patience: float) -> bool:
    """Whether something listens at the port before ``patience`` seconds are over or the process ends."""
    import socket

    until = time.monotonic() + patience
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.25)
    return False
