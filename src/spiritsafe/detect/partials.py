"""Keeps what a scan learnt of the log's beginning, so that tomorrow's scan of a longer log starts there.

A point is a folder named by the digest of all that went into it: the bytes of every file so far in their order, the
grants, the reference, and this program's own code. Its manifest is written last and names the digest of every part,
so a point that was cut off or damaged is no point, and the log is read again.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from spiritsafe import record
from spiritsafe.detect.rows import Notes
from spiritsafe.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.log import Source
    from spiritsafe.detect.reference import Reference
    from spiritsafe.store.models import Grant

_MANIFEST = "manifest"
_CHUNK = 1 << 22


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """How things stood after some files: ``parts`` are digests of the buckets' files, in order."""

    rows: int
    accounts: list[str]
    notes: Notes
    parts: list[str]


class Partials:
    """The points in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(
                f"the folder for partial results can't be made: {error.strerror}",
                remedy="Give another --partials.",
                where=str(folder),
            ) from error

    def find(self, key: str) -> Point | None:
        """The point of this key, None if there is none or it is damaged."""
        try:
            point = msgspec.msgpack.decode((self.folder / key / _MANIFEST).read_bytes(), type=Point)
            whole = all(digest(path) == part for path, part in zip(self.files(key, point), point.parts, strict=True))
        except (OSError, msgspec.DecodeError):
            return None
        return point if whole else None

    def files(self, key: str, point: Point) -> list[Path]:
        """Each bucket's file."""
        return [self.folder / key / f"{number:05d}" for number in range(len(point.parts))]

    def keep(self, key: str, files: Sequence[Path], rows: int, accounts: Sequence[str], notes: Notes) -> None:
        """Copy the buckets' files and write the manifest. Raises ResourceError when the disk refuses."""
        point = Point(rows=rows, accounts=list(accounts), notes=notes, parts=[digest(path) for path in files])
        try:
            (self.folder / key).mkdir(exist_ok=True)
            for source, target in zip(files, self.files(key, point), strict=True):
                shutil.copyfile(source, target)
            aside = self.folder / key / f"{_MANIFEST}.tmp"
            aside.write_bytes(msgspec.msgpack.encode(point))
            os.replace(aside, self.folder / key / _MANIFEST)
        except OSError as error:
            raise ResourceError(
                f"partial results can't be kept: {error.strerror}",
                remedy="Free some space, or give another --partials.",
                where=str(self.folder),
            ) from error

    def drop(self, key: str) -> None:
        """Remove a point that another one has taken the place of."""
        shutil.rmtree(self.folder / key, ignore_errors=True)


def keys(sources: Sequence[Source], grants: Sequence[Grant], reference: Reference | None) -> list[str]:
    """Names the point after each file; a sealed record grows, so from the first of them on there are none."""
    start = [_code(), pl.__version__, np.__version__, reference.digest() if reference else "alone"]
    held = msgspec.json.encode([msgspec.structs.asdict(grant) for grant in grants])
    made, last = [], _hash([*start, held.hex()])
    for source in sources:
        if source.sealed:
            break
        last = _hash([last, digest(source.path)])
        made.append(last)
    return made


def digest(path: Path) -> str:
    """The BLAKE2b digest of a file's bytes."""
    found = hashlib.blake2b(digest_size=20)
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            found.update(data)
    return found.hexdigest()


@functools.cache
def _code() -> str:
    """The digest of the code that partial results depend on."""
    rooms = (Path(__file__).parent, Path(record.__file__).parent)
    files = sorted(path for room in rooms for path in room.rglob("*") if path.suffix in (".py", ".npz", ".yaml"))
    return _hash([digest(path) for path in files])


def _hash(words: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(words).encode(), digest_size=20).hexdigest()
