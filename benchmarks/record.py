"""What an append costs, beside the disk's own limit in the same run, and what a sketch costs.

    python benchmarks/record.py [--folder DIR] [--rows N]

``cpu`` is user and system time of the whole process for each row, ``caller`` what ``append`` or
``write`` costs the calling thread, ``p50``/``p99`` the time until a row is durable. The limit is a
bare loop that writes the same bytes into a file with zeros ahead and syncs after each.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from spiritsafe.record import canonical, disk, journal
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog, verify


def exchange(number: int) -> Exchange:
    """One exchange of about 2.6 KB, as a chat with a short answer makes it."""
    return Exchange(
        exchange_id=f"chatcmpl-{number:024x}",
        time=datetime.now(UTC),
        account_id="acc_0123456789abcdef",
        key_id="key_0123456789abcdef",
        model="smollm2-135m-instruct",
        endpoint="/v1/chat/completions",
        system="You are a helpful assistant.",
        messages=(Message("user", "Tell me about " + "stills and spirits " * 25),),
        completion="Once upon a time there was a safe. " * 40,
        prompt_tokens=120,
        completion_tokens=300,
        latency_ms=123.4,
        status=200,
        params={"temperature": 0.7, "top_p": 1.0, "max_tokens": 300, "stream": True},
        ip_prefix="0123456789abcdef0123456789abcdef",
        network="0123456789abcdef0123456789abcdef",
        client="0123456789abcdef0123456789abcdef",
    )


def show(name: str, rows: int, wall: float, cpu: float, waits: list[float], caller: float | None = None) -> None:
    waits.sort()
    middle, late = (waits[int(len(waits) * q)] * 1e6 for q in (0.5, 0.99))
    called = "" if caller is None else f"{caller / rows * 1e6:8.1f}"
    print(f"{name:38}{rows / wall:10,.0f}{cpu / rows * 1e6:8.1f}{called:>8}{middle:10.0f}{late:10.0f}")


def limit(folder: Path, rows: int) -> None:
    """Write and sync the bytes of one row at a time."""
    row = journal.pack(0, bytes(32), [canonical.seal(exchange(0))])[0]
    fd = os.open(folder / "raw", os.O_RDWR | os.O_CREAT)
    disk.write_all(fd, bytes(rows * len(row)), 0)
    os.fsync(fd)
    waits = []
    start, cpu = time.perf_counter(), time.process_time()
    for number in range(rows):
        before = time.perf_counter()
        os.pwrite(fd, row, number * len(row))
        disk.sync(fd)
        waits.append(time.perf_counter() - before)
    show("limit: write and sync, 1", rows, time.perf_counter() - start, time.process_time() - cpu, waits)
    os.close(fd)


def threads(folder: Path, rows: int) -> None:
    """Append from one thread, waiting for each."""
    made = [exchange(number) for number in range(rows)]
    waits, caller = [], 0.0
    with SealedLog.open(folder / "one" / "record") as log:
        start, cpu = time.perf_counter(), time.process_time()
        for item in made:
            before, own = time.perf_counter(), time.thread_time()
            future = log.append(item)
            caller += time.thread_time() - own
            future.result()
            waits.append(time.perf_counter() - before)
        show("append, 1", rows, time.perf_counter() - start, time.process_time() - cpu, waits, caller)


async def loops(folder: Path, rows: int, at_once: int) -> None:
    """Write from an event loop with so many rows under way."""
    made = [exchange(number) for number in range(rows)]
    waits: list[float] = []
    caller = [0.0]
    with SealedLog.open(folder / f"loop{at_once}" / "record") as log:

        async def worker() -> None:
            while made:
                before, own = time.perf_counter(), time.thread_time()
                future = log.write(made.pop())
                caller[0] += time.thread_time() - own
                await future
                waits.append(time.perf_counter() - before)

        start, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        show(f"write, {at_once}", rows, time.perf_counter() - start, time.process_time() - cpu, waits, caller[0])


def timed(name: str, rows: int, work: Callable[[], object]) -> None:
    cpu = time.process_time()
    work()
    print(f"{name:38}{(time.process_time() - cpu) / rows * 1e6:8.1f} us CPU a row")


def sketches(rows: int) -> None:
    """Sketch one by one and in batches: a prompt of about 40 words."""
    from spiritsafe.record.sketch import sketch_text, sketch_texts

    texts = [f"Solve problem {n}: {exchange(n).messages[0].content[:240]} and show each step." for n in range(rows)]  # type: ignore[index]
    sketch_texts(texts)
    timed("sketch, one by one", rows // 10, lambda: [sketch_text(text) for text in texts[: rows // 10]])
    timed("sketch, in batches", rows, lambda: sketch_texts(texts))
    timed("sketch, in batches, embedding alone", rows, lambda: sketch_texts(texts, parts=frozenset({"embedding"})))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="on the disk to measure")
    parser.add_argument("--rows", type=int, default=4000)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="record-", dir=arguments.folder))
    try:
        print(f"{'':38}{'rows/s':>10}{'cpu us':>8}{'caller':>8}{'p50 us':>10}{'p99 us':>10}")
        limit(folder, arguments.rows)
        threads(folder, arguments.rows)
        for at_once in (1, 64):
            uvloop.run(loops(folder, arguments.rows * (4 if at_once > 1 else 1), at_once))
        limit(folder, arguments.rows)
        log = folder / "loop64" / "record"
        timed("verify, journal", arguments.rows * 4, lambda: verify(log))
        with SealedLog.open(log, pace=0.0) as opened:
            timed("roll", arguments.rows * 4, opened.roll)
        timed("verify, segment", arguments.rows * 4, lambda: verify(log))
        sketches(arguments.rows)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
