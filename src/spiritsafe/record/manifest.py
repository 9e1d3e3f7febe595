"""A segment's manifest: what its file holds and where it stands in the chain, signed and written last.

Its ``seal`` never changes once made and is what the next seal chains to; ``file`` is the segment as it
is now. Pruning writes a new file, puts it under ``file`` and itself under ``pruned``, and signs again.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from spiritsafe.errors import InputError
from spiritsafe.record import signed
from spiritsafe.record.canonical import FORM

if TYPE_CHECKING:
    from pathlib import Path

    from spiritsafe.record.keys import Public

FORMAT = "spiritsafe-manifest-1"
SEGMENT = "spiritsafe-segment-1"


class Seal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows ``first`` to ``first + rows - 1`` of ``log``, with the links before and after them.

    ``form`` names how rows are hashed (``canonical.FORM``), ``segment`` how they are stored. ``earliest``
    and ``latest`` are the rows' times, ``previous`` is the digest of the seal before (empty for the first).
    """

    earliest: datetime
    first: int
    form: str
    latest: datetime
    link_after: str
    link_before: str
    log: str
    made: datetime
    previous: str
    rows: int
    segment: str


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A segment's file: its name in the folder, its length and BLAKE2b-256."""

    bytes: int
    digest: str
    name: str


class Pruning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At ``time``, content of ``rows`` rows older than ``before`` was dropped; ``replaced`` the old digest."""

    before: datetime
    replaced: str
    rows: int
    time: datetime


class Manifest(signed.Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands in a manifest's file."""

    file: File
    pruned: tuple[Pruning, ...]
    seal: Seal

    @property
    def stop(self) -> int:
        """The number of the first row after this segment."""
        return self.seal.first + self.seal.rows


def seal_digest(seal: Seal) -> str:
    """Return what the next seal names as its ``previous``."""
    raw = msgspec.json.encode(seal, order="sorted")
    return hashlib.blake2b(raw, digest_size=32, person=b"spiritsafe-seal1").hexdigest()


def file_entry(path: Path, name: str) -> File:
    """Describe the bytes at ``path`` as a file to be called ``name``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32, person=b"spiritsafe-file1"))
        return File(bytes=file.tell(), digest=digest.hexdigest(), name=name)


def check(path: Path, public: Public) -> Manifest:
    """Read a manifest and check every byte of it and its signature. Raises InputError for a newer version."""
    return _known(signed.check(path.read_bytes(), Manifest, FORMAT, public, path.name), path)


def peek(path: Path) -> Manifest:
    """Read a manifest without its signature, as readers do. Raises InputError for a newer version."""
    return _known(signed.peek(path.read_bytes(), Manifest, FORMAT, path.name), path)


def _known(made: Manifest, path: Path) -> Manifest:
    if (made.seal.form, made.seal.segment) != (FORM, SEGMENT):
        raise InputError(
            f"its rows are {made.seal.form} in {made.seal.segment}, this version reads {FORM} in {SEGMENT}",
            remedy="Read it with the newer spiritsafe that wrote it",
            where=path.name,
        )
    return made
