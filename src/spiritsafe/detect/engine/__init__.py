"""What a scan runs on, one file each: this machine's processes, or Ray. Both give the same answers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from spiritsafe.errors import UsageError

if TYPE_CHECKING:
    from spiritsafe.detect.engine.types import Engine

ENGINES: tuple[str, ...] = ("local", "ray")


def open_engine(name: str, workers: int | None = None) -> Engine:
    """The engine of this name; ``workers`` tasks at once, by default as many as there are cores for it.

    Raises UsageError for a name that is none, ResourceError if its package is not installed.
    """
    if name not in ENGINES:
        raise UsageError(f"there is no engine {name!r}", remedy=f"Give one of: {', '.join(ENGINES)}.")
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers can't work", remedy="Give 1 or more.")
    made: Engine = import_module(f"spiritsafe.detect.engine.{name}").open_engine(workers)
    return made
