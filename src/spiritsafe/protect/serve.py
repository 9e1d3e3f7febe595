"""A port for a teacher whose answers are marked: ``python -m spiritsafe.protect.serve SPEC --mark NAME --data DIR``."""

from __future__ import annotations

import sys
from pathlib import Path

from spiritsafe.protect.keys import Keyring
from spiritsafe.protect.marks.marker import KeyMarker, committed
from spiritsafe.protect.marks.registry import mark
from spiritsafe.protect.marks.traced import Traced
from spiritsafe.protect.tracing import TracingMarker
from spiritsafe.teach import server
from spiritsafe.teach.types import Marker


def marker(data: Path, name: str) -> Marker:
    """What marks answers with ``name`` under the newest key of the data folder.

    Raises ``UsageError`` for a mark that is none, or that the newest key was not committed for.
    """
    found = mark(name)
    key = committed(Keyring(data), name)
    return TracingMarker(found, key) if isinstance(found, Traced) else KeyMarker(found, key)


def main(arguments: list[str] | None = None) -> int:
    """Serve, with one line of JSON on standard output when ready."""
    parser = server.arguments_of("python -m spiritsafe.protect.serve")
    parser.add_argument("--mark", required=True, help="the mark's name; its key was committed before")
    parser.add_argument("--data", required=True, type=Path, help="the data folder, which has the key")
    given = parser.parse_args(arguments)
    return server.run(given, lambda: marker(given.data, given.mark))


if __name__ == "__main__":
    sys.exit(main())
