"""The head: the signed statement of how many rows the log has and what its last link is.

    file = two slots of 512 bytes, each: a signed document, zeros

One slot is overwritten in place at a time, at most every second, after the rows it speaks of are
durable; the newer one counts. Older heads are kept nowhere in the folder, so whoever cuts rows off the
end needs an older head that was copied away before, and whoever published a newer one can tell.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING

from spiritsafe.errors import BrokenRecord
from spiritsafe.record import signed
from spiritsafe.record.disk import sync, write_all

if TYPE_CHECKING:
    from pathlib import Path

    from spiritsafe.record.keys import Public, Signer

FORMAT = "spiritsafe-head-1"
SLOT_BYTES = 512


class Head(signed.Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The log ``log`` had ``rows`` rows and this ``link`` after the last, at ``time``; ``number`` counts heads.

    ``closed``: the writer ended in good order, so nothing may follow those rows.
    """

    closed: bool
    link: str
    log: str
    number: int
    rows: int
    time: datetime


def check(data: bytes, public: Public, where: str) -> Head:
    """Read a head as it was stored or published and check it to the last byte."""
    return signed.check(data, Head, FORMAT, public, where)


def slots(path: Path) -> list[bytes]:
    """Return the two slots' bytes without their padding; an empty one was not written yet."""
    data = path.read_bytes()
    if len(data) != 2 * SLOT_BYTES:
        raise BrokenRecord("it has the wrong length", remedy=signed.REMEDY, where=path.name)
    return [data[:SLOT_BYTES].rstrip(b"\0"), data[SLOT_BYTES:].rstrip(b"\0")]


def newest(path: Path, public: Public) -> tuple[Head, bytes] | None:
    """Return a log's newest head and its bytes, having checked both slots; None where none was written yet."""
    try:
        found = slots(path)
    except FileNotFoundError:
        return None
    heads = [(check(slot, public, f"{path.name}, slot {n}"), slot) for n, slot in enumerate(found) if slot]
    return max(heads, key=lambda head: head[0].number, default=None)


class HeadFile:
    """The head's file, held open by the log's one writer."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.fstat(self._fd).st_size < 2 * SLOT_BYTES:
            os.ftruncate(self._fd, 2 * SLOT_BYTES)

    def write(self, head: Head, signer: Signer) -> None:
        """Put the head in its slot and return when it is durable."""
        data = signed.sign(head, signer)
        write_all(self._fd, data.ljust(SLOT_BYTES, b"\0"), head.number % 2 * SLOT_BYTES)
        sync(self._fd)

    def close(self) -> None:
        os.close(self._fd)
