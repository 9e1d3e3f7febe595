"""Which files make up a log, by name.

head                            the signed head
key.pub                         the public key that everything is signed with
journal-000000000000.log        rows from this number on, not yet in a segment
segment-000000000000.json       a segment's manifest; the file it names holds the rows
segment-000000000000.parquet    (…-2.parquet once pruned, and so on)
lock, prune.lock                held by the writer, and while pruning
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from spiritsafe.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_JOURNAL = re.compile(r"journal-(\d{12})\.log")
_MANIFEST = re.compile(r"segment-(\d{12})\.json")
_FILE = re.compile(r"segment-\d{12}(-\d+)?\.parquet")


class Layout(NamedTuple):
    """A log's manifests and journals by their first row, and the segment files there are."""

    manifests: dict[int, Path]
    journals: dict[int, Path]
    files: frozenset[str]


def layout(folder: Path) -> Layout:
    """List a log's folder. Raises InputError where there is none."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise InputError(
            f"there is no record that can be read: {error.strerror}",
            remedy="Give the data folder that `spiritsafe serve` or `spiritsafe ingest` wrote to",
            where=str(folder),
        ) from error
    return Layout(
        {int(m[1]): folder / m[0] for name in names if (m := _MANIFEST.fullmatch(name))},
        {int(m[1]): folder / m[0] for name in names if (m := _JOURNAL.fullmatch(name))},
        frozenset(name for name in names if _FILE.fullmatch(name)),
    )


def journal_path(folder: Path, first: int) -> Path:
    """Where the journal lies that begins with row ``first``."""
    return folder / f"journal-{first:012d}.log"


def manifest_path(folder: Path, first: int) -> Path:
    """Where the manifest lies of the segment that begins with row ``first``."""
    return folder / f"segment-{first:012d}.json"


def segment_name(first: int, edition: int = 1) -> str:
    """What a segment's file is called; each pruning makes a new edition."""
    return f"segment-{first:012d}{f'-{edition}' if edition > 1 else ''}.parquet"


def head_path(folder: Path) -> Path:
    """Where the head lies."""
    return folder / "head"


def public_path(folder: Path) -> Path:
    """Where the public key lies."""
    return folder / "key.pub"


def lock_path(folder: Path) -> Path:
    """Where the writer's lock lies."""
    return folder / "lock"


def signing_key_path(folder: Path) -> Path:
    """Where the private signing key of a log's folder lies: beside it, in ``keys``."""
    return folder.parent / "keys" / "record.key"


def record_folder(data: Path) -> Path:
    """Return the log's folder for what a person names: the data folder or the log's own."""
    return data if data.name == "record" and not (data / "record").is_dir() else data / "record"
