"""Progress with a time estimate, for anything that takes more than two seconds; on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET = 2.0
EVERY = 10.0


@contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how much of ``total`` is done; it says so now and then, once it has taken a while.

    A terminal sees one line that changes; a file gets a line every ten seconds.
    """
    began = time.monotonic()
    live = sys.stderr.isatty()
    told = began + QUIET - (0.2 if live else EVERY)

    def tell(done: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told < (0.2 if live else EVERY) or done <= 0:
            return
        told = now
        left = (now - began) * max(total - done, 0) / done
        line = f"{what}: {done:,} of {total:,} {unit}, about {_span(left)} left"
        sys.stderr.write(f"\r\x1b[2K{line}" if live else f"{line}\n")
        sys.stderr.flush()

    try:
        yield tell
    finally:
        if live and told > began + QUIET:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def _span(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60} s"
