"""Retention: content older than a date is dropped, and every check of the log still holds.

Only sealed segments are pruned, so a live writer is not disturbed; without one the journal is sealed
first. Each segment's new file and its manifest, which records the pruning and is signed again, are
written before the old file goes. Heads that were published before stay valid: the chain is over row
digests, and those hold a commitment to the content, not the content.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from spiritsafe.errors import BrokenRecord, InputError, ResourceError
from spiritsafe.record import disk, manifest, signed
from spiritsafe.record.exchange import CONTENT_FIELDS
from spiritsafe.record.layout import layout, lock_path, manifest_path, segment_name
from spiritsafe.record.manifest import Manifest, Pruning
from spiritsafe.record.recover import signer_of

if TYPE_CHECKING:
    from pathlib import Path

    from spiritsafe.record.keys import Signer


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What a pruning did: ``rows`` lost their content in ``segments`` segments.

    ``waiting``: a live writer holds a journal, whose rows could not be looked at. They are sealed within
    the hour (``roll_seconds``), so prune again then.
    """

    before: datetime
    rows: int
    segments: int
    waiting: bool


def prune(folder: Path, before: datetime) -> Pruned:
    """Drop the content of rows whose time is before ``before``.

    Raises InputError for a time without zone, ResourceError while another pruning runs or when the disk
    refuses, BrokenRecord when a segment is not as it was sealed (nothing of it is touched then).
    """
    if before.tzinfo is None:
        raise InputError("the time to prune before has no time zone", remedy="Add one, such as +00:00 or Z")
    layout(folder)
    try:
        with disk.locked(folder / "prune.lock", "prunes this record"):
            signer = signer_of(folder)
            _sweep(folder)
            waiting = _seal_journal(folder)
            counts = [
                _prune_segment(folder, manifest.check(path, signer.public), before.astimezone(UTC), signer)
                for _, path in sorted(layout(folder).manifests.items())
            ]
    except OSError as error:
        raise disk.trouble(error, folder) from error
    return Pruned(
        before=before.astimezone(UTC), rows=sum(counts), segments=sum(1 for n in counts if n), waiting=waiting
    )


def _seal_journal(folder: Path) -> bool:
    """Seal what is still in a journal; return whether a live writer keeps us from it."""
    from spiritsafe.record.log import SealedLog  # noqa: PLC0415 - log offers prune, prune needs a log

    try:
        log = SealedLog.open(folder, pace=0.0)
    except ResourceError:
        if disk.is_held(lock_path(folder)):
            return True
        raise
    with log:
        log.roll()
    return False


def _prune_segment(folder: Path, made: Manifest, before: datetime, signer: Signer) -> int:
    """Write a segment again without the content of its older rows; return how many those are."""
    from spiritsafe.record.segment import Writer, read_tables  # noqa: PLC0415 - pyarrow is loaded only for segments

    old = folder / made.file.name
    if made.seal.earliest >= before or not _has_content(made, before):
        return 0
    if manifest.file_entry(old, made.file.name) != made.file:
        raise BrokenRecord("the file's bytes are not those that were signed", remedy=signed.REMEDY, where=old.name)
    name = segment_name(made.seal.first, len(made.pruned) + 2)
    writer = Writer(folder / f"{name}.tmp")
    dropped = 0
    try:
        for table in read_tables(old):
            dropped += _drop(table, before)
            writer.add(table)
        writer.close()
    except BaseException:
        writer.abandon()
        raise
    if not dropped:
        writer.path.unlink()
        return 0
    pruning = Pruning(before=before, replaced=made.file.digest, rows=dropped, time=datetime.now(UTC))
    again = msgspec.structs.replace(
        made, file=manifest.file_entry(writer.path, name), pruned=(*made.pruned, pruning), key=signer.public.fingerprint
    )
    disk.publish(writer.path, folder / name)
    disk.write_whole(manifest_path(folder, made.seal.first), signed.sign(again, signer))
    old.unlink()
    disk.sync_folder(folder)
    return dropped


def _sweep(folder: Path) -> None:
    """Remove the files of segments that no manifest names any more: an interrupted pruning left them."""
    found = layout(folder)
    named = {manifest.peek(path).file.name for path in found.manifests.values()}
    firsts = {segment_name(first).removesuffix(".parquet") for first in found.manifests}
    for name in found.files - named:
        if any(name.startswith(first) for first in firsts):
            (folder / name).unlink()
    for leftover in folder.glob("segment-*-*.parquet.tmp"):
        leftover.unlink()


def _has_content(made: Manifest, before: datetime) -> bool:
    """Whether an earlier pruning can have left content that is older than ``before``."""
    return not any(earlier.before >= before or made.seal.latest < earlier.before for earlier in made.pruned)


def _drop(table: dict[str, list[Any]], before: datetime) -> int:
    dropped = 0
    for at, when in enumerate(table["time"]):
        if when < before and not table["pruned"][at]:
            for name in (*CONTENT_FIELDS, "salt"):
                table[name][at] = None
            table["pruned"][at] = True
            dropped += 1
    return dropped
