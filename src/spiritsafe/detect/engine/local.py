"""Processes of this machine; with one worker, this process itself."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from spiritsafe.detect.engine.types import Failed, Guarded, R, T
from spiritsafe.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Local:
    """Starts its processes when there is first more than one task for them."""

    name = "local"

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def run(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """The results in the order of the tasks."""
        if self.workers == 1 or len(tasks) < 2:
            yield from map(function, tasks)
            return
        if self._pool is None:
            # Not forked: threads of libraries may hold locks. Each process keeps to one thread of its own.
            os.environ.setdefault("POLARS_MAX_THREADS", "1")
            os.environ.setdefault("OMP_NUM_THREADS", "1")
            self._pool = ProcessPoolExecutor(self.workers, mp_context=multiprocessing.get_context("spawn"))
        try:
            for result in self._pool.map(Guarded(function), tasks):
                if isinstance(result, Failed):
                    raise result.raised()
                yield result
        except BrokenProcessPool as error:
            raise ResourceError(
                "a process of the scan was ended from outside, as happens when memory runs out",
                remedy="Give it fewer --workers, or a machine with more memory.",
            ) from error

    def rest(self) -> None:
        """End the processes; others start when there is something to run."""
        self.close()

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def open_engine(workers: int | None) -> Local:
    """As many workers as this process may use cores, unless said otherwise."""
    return Local(workers or _cores())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
