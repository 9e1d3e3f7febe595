"""kill -9 of the gateway during load, at random moments: is the record intact, and is any ended answer missing?

Each round starts the gateway on the same data folder, lets clients ask (whole and streamed), kills it some time
after the first answer, and checks the folder as it lies there: ``verify`` must find it intact, and every exchange
whose answer had ended at a client must be in it. Ends with 1 if not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from parts import load, running
from spiritsafe.record.reader import read
from spiritsafe.record.verify import verify

CLIENTS = 12
LONGEST = 1.5
"""Seconds after the first answer within which the kill falls."""

_ID = re.compile(rb"x-request-id: (\S+)")


class Round(msgspec.Struct):
    """What one round saw: ids of answers that had ended, and what was found afterwards."""

    after: float
    ended: list[str] = []
    missing: list[str] = []
    verdict: str = ""
    rows: int = 0


def _requests(port: int, key: str) -> list[bytes]:
    turns = [{"role": "user", "content": "How is whisky made? " * 20}]
    bodies = [{"model": "bench", "messages": turns, "stream": stream} for stream in (False, True)]
    return [load.request(port, "/v1/chat/completions", json.dumps(body).encode(), key) for body in bodies]


async def _ask_until_killed(port: int, key: str, kill: asyncio.Event, ended: list[str], begun: asyncio.Event) -> None:
    whole, streamed = _requests(port, key)
    _, client = await asyncio.get_running_loop().create_connection(load.Client, "127.0.0.1", port)
    try:
        while not kill.is_set():
            await client.ask(streamed if random.random() < 0.2 else whole)
            found = _ID.search(client.head)
            if client.status != 200 or found is None:
                raise SystemExit(f"the gateway answered {bytes(client.buffer)[:500]!r}")
            ended.append(found[1].decode())
            begun.set()
    except (ConnectionError, OSError):
        return
    finally:
        if client.transport is not None:
            client.transport.abort()


async def _play(port: int, key: str, pid_kill: asyncio.Future[None], after: float) -> list[str]:
    """Ask from many clients; ``pid_kill`` is resolved when the kill is due. Gives the ids of ended answers."""
    ended: list[str] = []
    kill, begun = asyncio.Event(), asyncio.Event()
    clients = [asyncio.create_task(_ask_until_killed(port, key, kill, ended, begun)) for _ in range(CLIENTS)]
    await asyncio.wait_for(begun.wait(), 60)
    await asyncio.sleep(after)
    pid_kill.set_result(None)
    kill.set()
    await asyncio.gather(*clients)
    return ended


def _round(data: Path, upstream: int, key: str) -> Round:
    found = Round(after=random.uniform(0.0, LONGEST))
    settings = {
        "upstreams": [{"url": f"http://127.0.0.1:{upstream}", "speaks": ["chat"]}],
        "record": {"roll_rows": 300},
        "watch": {"enabled": False},
    }
    process, said = running.serve(data, settings)

    async def play() -> list[str]:
        due: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due.add_done_callback(lambda _: process.send_signal(signal.SIGKILL))
        return await _play(said["port"], key, due, found.after)

    try:
        found.ended = asyncio.run(play())
    finally:
        running.end(process, signal.SIGKILL)
    checked = verify(data / "record")
    found.verdict, found.rows = checked.verdict, checked.rows
    recorded = {exchange.exchange_id for _, exchange in read(data / "record")}
    found.missing = [name for name in found.ended if name not in recorded]
    return found


def main() -> int:
    """Play the rounds and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else time.time_ns() % 10**6
    random.seed(seed)
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory() as folder, running.upstream() as upstream:
        data = Path(folder) / "data"
        key = running.new_key(data)
        for number in range(given.times):
            found = _round(data, upstream, key)
            rounds.append(found)
            print(
                f"{number + 1:3d}  killed {found.after:.2f} s after the first answer  {len(found.ended):5d} answers"
                f" ended  {len(found.missing)} missing  {found.verdict}, {found.rows} rows",
                flush=True,
            )
    ended, missing = sum(len(r.ended) for r in rounds), sum(len(r.missing) for r in rounds)
    broken = sum(r.verdict != "intact" for r in rounds)
    print(
        f"{len(rounds)} kills (seed {seed}): {ended} answers ended, {missing} missing from the record, {broken} broken"
    )
    return 1 if missing or broken else 0


if __name__ == "__main__":
    sys.exit(main())
