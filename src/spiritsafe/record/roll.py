"""Rolling: a finished journal becomes a segment with a signed manifest, then it is removed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from spiritsafe.errors import BrokenRecord
from spiritsafe.record import manifest, signed
from spiritsafe.record.canonical import FORM
from spiritsafe.record.disk import publish, sync_folder, write_whole
from spiritsafe.record.journal import Reader
from spiritsafe.record.layout import manifest_path, segment_name
from spiritsafe.record.manifest import Manifest, Seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from spiritsafe.record.journal import Entry
    from spiritsafe.record.keys import Signer

CHUNK = 64


def roll_journal(
    journal: Path, previous: Manifest | None, signer: Signer, pause: Callable[[], object] = lambda: None
) -> Manifest:
    """Turn a journal with at least one row into a segment.

    Order: the segment's bytes, its name, the manifest, the journal's removal; a crash between any two is
    mended by doing it again. ``pause`` is called every 64 rows, so that a busy writer in the same
    process keeps its pace. Raises BrokenRecord for a journal that isn't whole, OSError from the disk.
    """
    folder = journal.parent
    with Reader(journal) as reader:
        name = segment_name(reader.header.first)
        aside = folder / f"{name}.tmp"
        earliest, latest = _write(reader, aside, pause)
        seal = Seal(
            earliest=earliest,
            first=reader.header.first,
            form=FORM,
            latest=latest,
            link_after=reader.link.hex(),
            link_before=reader.header.link,
            log=reader.header.log,
            made=datetime.now(UTC),
            previous="" if previous is None else manifest.seal_digest(previous.seal),
            rows=reader.row - reader.header.first,
            segment=manifest.SEGMENT,
        )
    made = Manifest(
        file=manifest.file_entry(aside, name),
        format=manifest.FORMAT,
        key=signer.public.fingerprint,
        pruned=(),
        seal=seal,
    )
    publish(aside, folder / name)
    write_whole(manifest_path(folder, seal.first), signed.sign(made, signer))
    journal.unlink()
    sync_folder(folder)
    return made


def _write(reader: Reader, aside: Path, pause: Callable[[], object]) -> tuple[datetime, datetime]:
    from spiritsafe.record.segment import Writer, columns  # noqa: PLC0415 - pyarrow is loaded only to roll

    times: set[datetime] = set()
    writer = Writer(aside)
    try:
        for entries in _chunks(reader):
            table = columns(entries)
            seen = [*times, *table["time"]]
            times = {min(seen), max(seen)}
            writer.add(table)
            pause()
        bad = reader.bad()
        if bad is not None:
            raise BrokenRecord(bad.reason, remedy=signed.REMEDY, where=f"{reader.path.name}, row {bad.row}")
        writer.close()
    except BaseException:
        writer.abandon()
        raise
    return min(times), max(times)


def _chunks(reader: Reader) -> Iterator[list[Entry]]:
    waiting: list[Entry] = []
    for group in reader.groups():
        waiting += group
        while len(waiting) >= CHUNK:
            yield waiting[:CHUNK]
            del waiting[:CHUNK]
    if waiting:
        yield waiting
