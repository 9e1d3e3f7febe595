"""How long a stage took in all its processes: what one that was killed had spent is not forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

EVERY = 2.0
"""Seconds between two notes on disk: at most so much of a process that is killed is lost."""


class Stopwatch:
    """Runs while a stage does; entered, it notes at ``path`` every so often how long it has run."""

    def __init__(self, path: Path, *, every: float = EVERY, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._every = every
        self._clock = clock
        self._before = before(path)
        self._began = clock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stopwatch", daemon=True)

    @property
    def seconds(self) -> float:
        """Of this process and of those before it that did not finish the stage."""
        return self._before + self._clock() - self._began

    def note(self) -> None:
        """Write down how long it has been."""
        part = self._path.with_name(f"{self._path.name}.part")
        part.write_text(f"{self.seconds:.3f}\n")
        part.replace(self._path)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.note()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.note()


def before(path: Path) -> float:
    """The seconds that a stage took so far; 0 if it never began, or the note can't be read."""
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return 0.0
