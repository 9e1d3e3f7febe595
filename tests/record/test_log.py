"""The sealed log from outside: rows in order, one writer, kill -9, and a disk that is full."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.journal import Reader
from spiritsafe.record.layout import layout
from spiritsafe.record.log import SealedLog, read, verify

Make = Callable[..., Exchange]
Fill = Callable[..., Path]

KILLS = int(os.environ.get("SPIRITSAFE_KILLS", "10"))


def test_rows_come_back_in_the_order_they_were_given(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "record"
    with SealedLog.open(folder) as log:
        assert [log.append(make(n)).result() for n in range(5)] == list(range(5))
        assert log.rows == 5
        assert log.head != bytes(32)
        head = log.head
    assert list(read(folder)) == [(n, make(n)) for n in range(5)]
    with SealedLog.open(folder) as log:
        assert (log.rows, log.head) == (5, head)


async def test_several_at_once_reach_the_writer_together(tmp_path: Path, make: Make) -> None:
    loop = asyncio.get_running_loop()
    with SealedLog.open(tmp_path / "record") as log:
        pairs = [(make(n, completion="long " * 1000), loop.create_future()) for n in range(200)]
        log.write_all(pairs)
        assert await asyncio.gather(*(waiter for _, waiter in pairs)) == list(range(200))
        deep: object = "bottom"
        for _ in range(5000):
            deep = [deep]
        mixed = [(make(200, extra={"deep": deep}), loop.create_future()), (make(201), loop.create_future())]
        log.write_all(mixed)
        with pytest.raises((InputError, RecursionError)):
            await mixed[0][1]
        assert await mixed[1][1] == 200
    late = [(make(202), loop.create_future())]
    log.write_all(late)
    with pytest.raises(ResourceError, match="closed"):
        await late[0][1]
    reader = Reader(layout(tmp_path / "record").journals[0])
    assert max(len(group) for group in reader.groups()) > 100
    reader.close()


def test_many_threads_append(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "record"
    with SealedLog.open(folder) as log, ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda n: log.append(make(n)).result(), range(400)))
    assert sorted(rows) == list(range(400))
    kept = dict(read(folder))
    assert all(kept[row] == make(n) for n, row in enumerate(rows))


def test_there_is_one_writer(tmp_path: Path) -> None:
    folder = tmp_path / "record"
    with (
        SealedLog.open(folder),
        pytest.raises(ResourceError, match=rf"another process \(pid {os.getpid()}\) writes to this record"),
    ):
        SealedLog.open(folder)
    SealedLog.open(folder).close()


def test_a_closed_log_takes_nothing(tmp_path: Path, make: Make) -> None:
    log = SealedLog.open(tmp_path / "record")
    future = log.append(make(0))
    log.close()
    log.close()
    assert future.result() == 0
    with pytest.raises(ResourceError, match="closed"):
        log.append(make(1))
    with pytest.raises(ResourceError, match="closed"):
        log.roll()


def test_what_cannot_be_read_again_is_refused_at_once(tmp_path: Path, make: Make) -> None:
    with SealedLog.open(tmp_path / "record") as log:
        with pytest.raises(InputError):
            log.append(make(0, account_id=7))
        assert log.append(make(1)).result() == 0


def test_rolling_an_empty_log_does_nothing(tmp_path: Path) -> None:
    with SealedLog.open(tmp_path / "record") as log:
        log.roll()
    assert not layout(tmp_path / "record").manifests


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="can't be written"):
        SealedLog.open(tmp_path / "file" / "record")


def test_readers_and_checks_work_beside_the_writer(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "record"
    verdicts: list[str] = []
    counts: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            found = verify(folder)
            verdicts.append(found.verdict if found.problem is None else str(found.problem))
            numbers = [number for number, _ in read(folder)]
            assert numbers == list(range(len(numbers)))
            counts.append(len(numbers))

    with SealedLog.open(folder, pace=0.0, roll_rows=150) as log:
        looker = threading.Thread(target=look)
        looker.start()
        for number in range(900):
            future = log.append(make(number))
            if number % 4 == 0:
                future.result()
        done.set()
        looker.join(timeout=200)
    assert set(verdicts) == {"intact"}
    assert counts == sorted(counts)


CHILD = """
import sys, threading
from datetime import UTC, datetime
from pathlib import Path
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog

log = SealedLog.open(Path(sys.argv[1]), roll_rows=300, pace=0.0)
say = threading.Lock()

def work(name):
    for number in range(1_000_000):
        name_of_it = f"{sys.argv[2]}-{name}-{number}"
        said = (Message("user", "x" * (37 * number % 3000)),)
        exchange = Exchange(exchange_id=name_of_it, time=datetime.now(UTC), account_id="a", messages=said)
        row = log.append(exchange).result()
        with say:
            print(row, name_of_it, flush=True)

print("ready", flush=True)
for name in range(4):
    threading.Thread(target=work, args=(name,)).start()
"""


def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "record"
    moments = random.Random()
    acknowledged: dict[int, str] = {}
    for turn in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), str(turn)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        # However slow the machine: so many acknowledgements, then a moment drawn by chance.
        first = [child.stdout.readline() for _ in range(moments.randrange(11, 200))]
        wait = moments.random() ** 2 * 0.1
        time.sleep(wait)
        child.kill()
        lines, _ = child.communicate()
        for line in [*first, *lines.splitlines(keepends=True)]:
            if line.endswith("\n"):
                row, name = line.split()
                acknowledged[int(row)] = name
        found = verify(folder)
        assert found.verdict == "intact", (turn, wait, found)
        kept = {number: exchange.exchange_id for number, exchange in read(folder)}
        assert list(kept) == list(range(len(kept)))
        lost = {row: name for row, name in acknowledged.items() if kept.get(row) != name}
        assert not lost, (turn, wait, lost)
    assert len(acknowledged) > 10 * KILLS
    with SealedLog.open(folder, pace=0.0) as log:
        log.roll()
    assert verify(folder).verdict == "intact"
    assert not set(acknowledged.items()) - {(number, exchange.exchange_id) for number, exchange in read(folder)}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB of its own, where we may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "spiritsafe-test", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no right to mount a small disk here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill_up(folder: Path, log: SealedLog, make: Make) -> tuple[int, ResourceError]:
    """Append until the disk refuses; returns how many rows were acknowledged, and the refusal."""
    for number in range(log.rows, 100_000):
        try:
            assert log.append(make(number, completion="y" * 5000)).result() == number
        except ResourceError as error:
            return number, error
    raise AssertionError("the disk never filled up")


def fill_with_zeros(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 12)):
            pass


def test_a_full_disk_refuses_and_a_freed_one_goes_on(small_disk: Path, make: Make) -> None:
    folder = small_disk / "data" / "record"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    with SealedLog.open(folder, pace=0.0) as log:
        kept, error = fill_up(folder, log, make)
        assert "no space left" in str(error)
        assert "Free space" in error.remedy
        with pytest.raises(ResourceError):
            log.append(make(kept, completion="y" * 5000)).result()
        assert log.rows == kept
        found = verify(folder)
        assert (found.verdict, found.rows) == ("intact", kept), found
        ballast.unlink()
        again = log.append(make(kept)).result()
        assert again == kept
    assert [exchange.exchange_id for _, exchange in read(folder)] == [f"x{n}" for n in range(kept + 1)]
    assert verify(folder).verdict == "intact"


def test_a_full_disk_stops_rolling_but_not_the_log(small_disk: Path, make: Make) -> None:
    folder = small_disk / "data" / "record"
    ballast = small_disk / "ballast"
    with SealedLog.open(folder, pace=0.0) as log:
        noise = random.Random(1)
        for number in range(100):
            log.append(make(number, completion=noise.randbytes(4000).hex())).result()
        fill_with_zeros(ballast)
        with pytest.raises(ResourceError, match="no space left"):
            log.roll()
        assert log.trouble is not None
        assert log.append(make(100)).result() == 100  # in the space that was reserved
        ballast.unlink()
    with SealedLog.open(folder, pace=0.0) as log:
        assert log.rows == 101
        log.roll()
        assert log.trouble is None
    assert verify(folder).verdict == "intact"


LIMITED = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from spiritsafe.errors import ResourceError
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.log import SealedLog

with SealedLog.open(Path(sys.argv[1])) as log:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    kept = 0
    try:
        while True:
            said = "z" * 9000
            now = datetime.now(UTC)
            log.append(Exchange(exchange_id=f"x{kept}", time=now, account_id="a", completion=said)).result()
            kept += 1
    except ResourceError as error:
        print(error.message, error.remedy, sep="|")
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for _ in range(3):
        now = datetime.now(UTC)
        log.append(Exchange(exchange_id=f"x{kept}", time=now, account_id="a", completion=said)).result()
        kept += 1
print(kept)
"""


def test_a_limit_on_file_size_refuses_and_a_lifted_one_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "record"
    done = subprocess.run([sys.executable, "-c", LIMITED, str(folder)], capture_output=True, text=True, check=True)
    refusal, kept = done.stdout.splitlines()
    assert "file too large|Raise the limit" in refusal
    assert int(kept) > 10
    assert [exchange.exchange_id for _, exchange in read(folder)] == [f"x{n}" for n in range(int(kept))]
    assert verify(folder).verdict == "intact"


def test_the_gateways_half_never_loads_arrow_or_numpy() -> None:
    code = "import sys, spiritsafe.record.log; print({'pyarrow', 'polars', 'numpy', 'rensa'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
