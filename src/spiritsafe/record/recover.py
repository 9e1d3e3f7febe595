"""Opening a log for writing: what a crash left is mended, what a crash can't leave is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from spiritsafe.errors import BrokenRecord, ResourceError
from spiritsafe.record import head, manifest, signed
from spiritsafe.record.canonical import first_link
from spiritsafe.record.disk import write_whole
from spiritsafe.record.journal import Header, Journal, Reader, create, read_header
from spiritsafe.record.keys import Signer, secret
from spiritsafe.record.layout import head_path, journal_path, layout, public_path, signing_key_path

if TYPE_CHECKING:
    from pathlib import Path

    from spiritsafe.record.head import Head
    from spiritsafe.record.layout import Layout
    from spiritsafe.record.manifest import Manifest

IDENTITY_BYTES = 16


class Opened(NamedTuple):
    """A log ready for writing: its identity, its last manifest and head, journals to roll, the one to append to
    and that one's first row."""

    log: str
    last: Manifest | None
    head: Head | None
    waiting: list[Path]
    journal: Journal
    first: int


def signer_of(folder: Path) -> Signer:
    """Return the signing key of a log's folder; it is created with the log, and never for an older one."""
    path = signing_key_path(folder)
    if not path.exists() and public_path(folder).exists():
        raise ResourceError(
            "the private key this record is signed with is missing",
            remedy="Restore it from a backup, or move the record aside to start a new one",
            where=str(path),
        )
    return Signer(secret(path))


def recover(folder: Path, signer: Signer) -> Opened:
    """Bring a log into a state that can be appended to.

    Removes journals that are rolled already and half-made segments, cuts an incomplete end. Raises
    BrokenRecord when the chain of manifests and journals doesn't hold or the signed head says more rows
    than there are; OSError from the disk. Segments' bytes are not read: that is ``verify``.
    """
    public = signer.public
    if not public_path(folder).exists():
        write_whole(public_path(folder), public.text.encode())
    elif public_path(folder).read_bytes() != public.text.encode():
        raise BrokenRecord("the public key is not the private key's", remedy=signed.REMEDY, where="key.pub")
    # A pruning may be at work beside us: its files are "-2.parquet" and so on, and it cleans up after itself.
    for leftover in [*folder.glob("journal-*.tmp"), *folder.glob("segment-" + "[0-9]" * 12 + ".parquet.tmp")]:
        leftover.unlink()
    found = layout(folder)
    newest = head.newest(head_path(folder), public)
    manifests = check_manifests([manifest.check(path, public) for _, path in sorted(found.manifests.items())])
    last = manifests[-1] if manifests else None
    row = last.stop if last else 0
    waiting = _uncovered(found, row)
    if not waiting:
        if newest is not None and newest[0].rows > row:
            raise BrokenRecord(
                f"rows {row} to {newest[0].rows - 1} are missing", remedy=signed.REMEDY, where=str(folder)
            )
        waiting = [_begin(folder, last, newest[0] if newest else None)]
    log = read_header(waiting[0]).log
    link = last.seal.link_after if last else first_link(bytes.fromhex(log)).hex()
    journal = _walk(waiting, log, row, link, newest[0] if newest else None)
    return Opened(log, last, newest[0] if newest else None, waiting[:-1], journal, read_header(waiting[-1]).first)


def check_manifests(manifests: list[Manifest]) -> list[Manifest]:
    """Check that each manifest follows on the one before it. Raises BrokenRecord naming the first that doesn't."""
    row, link, previous = 0, None, ""
    for made in manifests:
        seal = made.seal
        where = f"segment {seal.first}"
        if seal.first != row:
            raise BrokenRecord(f"rows {row} to {seal.first - 1} are missing", remedy=signed.REMEDY, where=where)
        if seal.previous != previous or link not in (None, seal.link_before) or seal.log != manifests[0].seal.log:
            raise BrokenRecord("it does not follow on the segment before it", remedy=signed.REMEDY, where=where)
        row, link, previous = made.stop, seal.link_after, manifest.seal_digest(seal)
    return manifests


def _uncovered(found: Layout, row: int) -> list[Path]:
    """Return the journals that hold rows from ``row`` on, in order; remove those a segment holds already."""
    waiting = []
    for first, path in sorted(found.journals.items()):
        if first >= row:
            waiting.append(path)
        elif first in found.manifests:
            path.unlink()
    return waiting


def _begin(folder: Path, last: Manifest | None, newest: Head | None) -> Path:
    """Begin a journal after the last segment, or a new log."""
    if last is not None:
        header = Header(first=last.stop, link=last.seal.link_after, log=last.seal.log)
    else:
        log = newest.log if newest else os.urandom(IDENTITY_BYTES).hex()
        header = Header(first=0, link=first_link(bytes.fromhex(log)).hex(), log=log)
    path = journal_path(folder, header.first)
    create(path, header)
    return path


def _walk(waiting: list[Path], log: str, row: int, link: str, newest: Head | None) -> Journal:
    """Check that the journals follow on each other and reach the signed head; open the last one."""
    for path in waiting[:-1]:
        with Reader(path) as reader:
            _check_start(reader.header, path, log, row, link)
            _check_head(reader, newest)
            bad = reader.bad()
            if bad is not None:
                raise BrokenRecord(bad.reason, remedy=signed.REMEDY, where=f"{path.name}, row {bad.row}")
            row, link = reader.row, reader.link.hex()
    path = waiting[-1]
    with Reader(path) as reader:
        _check_start(reader.header, path, log, row, link)
        _check_head(reader, newest)
        if newest is not None and newest.rows > reader.row:
            raise BrokenRecord(
                f"rows {reader.row} to {newest.rows - 1} are missing or wrong, the signed head has {newest.rows}",
                remedy=signed.REMEDY,
                where=f"{path.name}, row {reader.row}",
            )
        if newest is not None and newest.closed and (reader.row > newest.rows or reader.bad() is not None):
            raise BrokenRecord("something was added after the record was closed", remedy=signed.REMEDY, where=path.name)
    return Journal.resume(path)


def _check_start(header: Header, path: Path, log: str, row: int, link: str) -> None:
    if header.first > row:
        raise BrokenRecord(f"rows {row} to {header.first - 1} are missing", remedy=signed.REMEDY, where=path.name)
    if (header.log, header.first, header.link) != (log, row, link):
        raise BrokenRecord(
            f"the journal does not follow on row {row - 1}" if row else "the journal is not the log's first",
            remedy=signed.REMEDY,
            where=path.name,
        )


def _check_head(reader: Reader, newest: Head | None) -> None:
    """Read a journal to its end, comparing the link where the head was signed."""
    for group in reader.groups():
        for entry in group:
            if newest is not None and entry.number + 1 == newest.rows and entry.link.hex() != newest.link:
                raise BrokenRecord(
                    "the rows are not those that the head was signed over",
                    remedy=signed.REMEDY,
                    where=f"{reader.path.name}, row {entry.number}",
                )
