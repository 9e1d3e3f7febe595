"""JSON lines: a value a line, and a clear word for the line that holds none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from spiritsafe.errors import InputError

T = TypeVar("T")


def read_lines(path: Path, kind: type[T], *, what: str, remedy: str) -> Iterator[tuple[str, T]]:
    """Where each line stands (``FILE:NUMBER``) and its value; blank lines are passed over.

    Raises ``InputError`` for a file that can't be read, and for the line that is no ``what``; ``remedy`` says what a
    line holds.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"it can't be read: {error.strerror}", where=str(path), remedy="Check the path.") from error
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = msgspec.json.decode(line, type=kind)
        except msgspec.MsgspecError as error:
            raise InputError(f"it is no {what}: {error}", where=where, remedy=remedy) from error
        yield where, value
