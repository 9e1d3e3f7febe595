"""The thread that rolls finished journals into segments while the log goes on."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from spiritsafe.errors import BrokenRecord, ResourceError
from spiritsafe.record import disk
from spiritsafe.record.roll import roll_journal

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from spiritsafe.errors import SpiritsafeError
    from spiritsafe.record.keys import Signer
    from spiritsafe.record.manifest import Manifest

RETRY_SECONDS = 5.0


class Roller:
    """Rolls journals in the order they are put. ``trouble`` says what stands in its way, if anything does.

    Between chunks of rows it rests for ``pace`` seconds, so that requests in the same process aren't held
    up. When the disk refuses it tries again later; journals it didn't get to are rolled at the next start.
    """

    def __init__(self, last: Manifest | None, signer: Signer, pace: float) -> None:
        self.trouble: SpiritsafeError | None = None
        self._last = last
        self._signer = signer
        self._pace = pace
        self._hurry = threading.Event()
        self._queue: queue.SimpleQueue[tuple[Path | None, Future[None] | None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="spiritsafe-roller", daemon=True)
        self._thread.start()

    def put(self, journal: Path | None, done: Future[None] | None = None) -> None:
        """Roll this journal (or none) after those put before; ``done`` hears of the first attempt."""
        self._queue.put((journal, done))

    def close(self) -> None:
        """Finish what was put, without resting, and end."""
        self._hurry.set()
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            journal, done = item
            while not self._roll(journal, done):
                done = None
                if isinstance(self.trouble, BrokenRecord) or self._hurry.wait(RETRY_SECONDS):
                    self._refuse_rest()
                    return

    def _roll(self, journal: Path | None, done: Future[None] | None) -> bool:
        try:
            if journal is not None:
                self._last = roll_journal(journal, self._last, self._signer, lambda: self._hurry.wait(self._pace))
        except OSError as error:
            self.trouble = disk.trouble(error, journal or Path())
        except BrokenRecord as error:
            self.trouble = error
        else:
            self.trouble = None
        if done is not None:
            if self.trouble is None:
                done.set_result(None)
            else:
                done.set_exception(self.trouble)
        return self.trouble is None

    def _refuse_rest(self) -> None:
        while (item := self._queue.get()) is not None:
            if item[1] is not None:
                item[1].set_exception(
                    ResourceError("an earlier journal couldn't be rolled", remedy="See the record's trouble")
                )
