from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.errors import ResourceError
from spiritsafe.gateway.children import Child

READY = "import sys; print('{\"port\": 7}', flush=True); sys.stdin.read()"
STUBBORN = "import signal, sys, time; signal.signal(15, signal.SIG_IGN); print('{}', flush=True); time.sleep(60)"


@pytest.fixture
async def child() -> AsyncIterator[Callable[..., Child]]:
    made: list[Child] = []

    def make(program: str, ready: Any = lambda said: None) -> Child:
        made.append(Child("helper", [sys.executable, "-c", program], ready))
        return made[-1]

    yield make
    for each in made:
        await each.stop()


async def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 200
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def test_it_is_ready_once_it_says_so_and_ends_when_stopped(child: Callable[..., Child]) -> None:
    said: list[Any] = []
    made = child(READY, said.append)
    await made.start(20)
    assert said == [{"port": 7}]
    assert made.trouble() is None
    pid = made.pid
    assert pid is not None
    await made.stop()
    assert made.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_one_that_dies_is_begun_again_and_says_so_anew(child: Callable[..., Child]) -> None:
    said: list[Any] = []
    made = child(READY, said.append)
    await made.start(20)
    assert made.pid is not None
    os.kill(made.pid, signal.SIGKILL)
    await until(lambda: made.pid is None)
    assert "not running (it ended with -9)" in str(made.trouble())
    await until(lambda: len(said) == 2)
    assert (made.restarts, made.trouble()) == (1, None)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("raise SystemExit(3)", "ended with 3"),
        ("print('hello')", "ended with"),
        ("import time; time.sleep(60)", "not ready"),
    ],
)
async def test_one_that_does_not_come_up_is_an_error(child: Callable[..., Child], program: str, why: str) -> None:
    with pytest.raises(ResourceError, match=why) as caught:
        await child(program).start(1.0 if "sleep" in program else 20.0)
    assert "run it by itself" in caught.value.remedy


async def test_one_that_will_not_end_is_made_to(child: Callable[..., Child], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spiritsafe.gateway.children.KILL_AFTER", 0.3)
    made = child(STUBBORN)
    await made.start(20)
    pid = made.pid
    assert pid is not None
    await made.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_when_its_gateway_is_killed_it_ends_by_itself(tmp_path: Path) -> None:
    """Its standard input ends then."""
    parent = (
        "import asyncio, sys\n"
        "from spiritsafe.gateway.children import Child\n"
        "async def main():\n"
        f"    made = Child('helper', [sys.executable, '-c', {READY!r}], lambda said: None)\n"
        "    await made.start(20)\n"
        "    print(made.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", parent, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    process.kill()
    await process.wait()

    def gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    await until(gone)
