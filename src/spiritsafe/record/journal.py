"""The journal: the file that rows are appended to, in groups, before they are rolled into a segment.

    file    = header, groups, zeros
    header  = JSON {"first", "format", "link", "log"} in canonical form, spaces, a line feed: 512 bytes
    group   = magic (8), first row (8), rows (4), length of the frames (4), check (8), frames
    frame   = length of the rest (4), length of the envelope (4), salt (16), envelope, content, link (32)

Numbers are little-endian; ``check`` is BLAKE2b-64 of the 24 bytes before it. A group is what one sync
made durable. The link of a frame chains it to the frame before (``canonical.next_link``).

The file is extended with zeros ahead of its use, so that syncing a group needn't change its size. A
group's bytes hold no 512 zero bytes in a row, and the magic can't occur in JSON. So what a crash leaves
(an end that is missing, or sectors of the last group that were never written) can be told from what a
crash can't do: a wrong byte in a sector that was written, or a valid group after a bad one.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from spiritsafe.errors import BrokenRecord
from spiritsafe.record.canonical import DIGEST_BYTES, Row, commit, next_link
from spiritsafe.record.disk import read_all, sync, write_all, write_whole
from spiritsafe.record.signed import REMEDY, check_form

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FORMAT = "spiritsafe-journal-1"
HEADER_BYTES = 512
SECTOR = 512
MAGIC = b"\xff\x00SAFE\x00\xff"
RESERVE = 1 << 20

_GROUP = struct.Struct("<8sQII8s")
_FRAME = struct.Struct("<II16s")
_CHECKED = _GROUP.size - 8
_zeros = bytes(RESERVE)


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which log the journal belongs to, its first row's number, and the link (hexadecimal) before that row."""

    first: int
    format: str = msgspec.field(default_factory=lambda: FORMAT)
    link: str
    log: str


class Entry(NamedTuple):
    """A row with its number and the link after it."""

    number: int
    row: Row
    link: bytes


class Bad(NamedTuple):
    """The first place in a journal that isn't as it was written. ``torn``: a crash may have left it so."""

    offset: int
    row: int
    reason: str
    torn: bool


def create(path: Path, header: Header) -> None:
    """Put an empty journal there, whole or not at all."""
    write_whole(path, _header_bytes(header))


def read_header(path: Path) -> Header:
    """Read and check a journal's header. Raises BrokenRecord, or InputError for a newer version."""
    with path.open("rb") as file:
        data = file.read(HEADER_BYTES)
    try:
        header = msgspec.json.decode(data.rstrip(b" \n"), type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenRecord("the journal's header can't be read", remedy=REMEDY, where=path.name) from error
    check_form(header.format, FORMAT, path.name)
    if _header_bytes(header) != data:
        raise BrokenRecord("the journal's header was changed", remedy=REMEDY, where=path.name)
    return header


def pack(first: int, link: bytes, rows: Sequence[Row]) -> tuple[bytes, list[bytes]]:
    """Return one group's bytes and the link after each of its rows; ``link`` is the one before them."""
    parts = [b""]
    links = []
    for row in rows:
        link = next_link(link, row)
        links.append(link)
        if row.content is None or row.salt is None:
            raise ValueError("a pruned row is never in a journal")
        content, salt = row.content, row.salt
        length = _FRAME.size - 4 + len(row.envelope) + len(content) + DIGEST_BYTES
        parts += (_FRAME.pack(length, len(row.envelope), salt), row.envelope, content, link)
    size = sum(map(len, parts))
    head = _GROUP.pack(MAGIC, first, len(rows), size, b"")[:_CHECKED]
    parts[0] = head + _check(head)
    return b"".join(parts), links


class Reader:
    """Reads a journal's groups in order, checking each link; ``row``, ``link``, ``offset`` say how far it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = read_header(path)
        self.row = self.header.first
        self.link = bytes.fromhex(self.header.link)
        self.offset = HEADER_BYTES
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def groups(self) -> Iterator[list[Entry]]:
        """Yield complete groups until there is none; call again later for what came in since."""
        while (entries := self._next()) is not None:
            yield entries

    def bad(self) -> Bad | None:
        """Say what is wrong where reading stopped; None when nothing follows there."""
        rest = self._rest()
        if not rest.strip(b"\0"):
            return None
        row = self.row + len(self._complete(rest))
        reason = f"the bytes from {self.offset} on are no group of rows that follows on what is before them"
        if self._later_group(rest):
            return Bad(self.offset, row, f"{reason}, and a later group comes after", torn=False)
        return Bad(self.offset, row, reason, torn=self._is_torn(rest))

    def unfinished(self) -> list[Entry]:
        """Return the complete rows of a group whose end is missing."""
        return self._complete(self._rest())

    def _next(self) -> list[Entry] | None:
        head = read_all(self._fd, _GROUP.size, self.offset)
        found = _group_header(head)
        if found is None or found[0] != self.row:
            return None
        _, rows, size = found
        body = read_all(self._fd, size, self.offset + _GROUP.size)
        entries = _unpack(body, self.row, rows, self.link)
        if len(entries) < rows or len(body) < size:
            return None
        self.row += rows
        self.link = entries[-1].link
        self.offset += _GROUP.size + size
        return entries

    def _rest(self) -> bytes:
        size = os.fstat(self._fd).st_size
        return read_all(self._fd, max(0, size - self.offset), self.offset)

    def _complete(self, rest: bytes) -> list[Entry]:
        found = _group_header(rest[: _GROUP.size])
        if found is None or found[0] != self.row:
            return []
        return _unpack(rest[_GROUP.size : _GROUP.size + found[2]], self.row, found[1], self.link)

    def _later_group(self, rest: bytes) -> bool:
        at = rest.find(MAGIC)
        while at >= 0:
            found = _group_header(rest[at : at + _GROUP.size])
            if found is not None and found[0] > self.row:
                return True
            at = rest.find(MAGIC, at + 1)
        return False

    def _is_torn(self, rest: bytes) -> bool:
        """Say whether the last group lacks its end, or a sector in it was never written."""
        found = _group_header(rest[: _GROUP.size])
        extent = _GROUP.size + found[2] if found else max(_GROUP.size, len(rest.rstrip(b"\0")))
        group = rest[:extent].ljust(extent, b"\0")
        if group.endswith(b"\0"):
            return True
        edges = [0, *range(-self.offset % SECTOR or SECTOR, extent, SECTOR), extent]
        return any(not group[a:b].strip(b"\0") for a, b in itertools.pairwise(edges))


class Journal:
    """The open journal of a log's one writer. Not safe for several threads.

    After an OSError from ``write`` call ``undo``; when that fails too, ``resume`` afresh before going on.
    """

    def __init__(self, path: Path, fd: int, row: int, link: bytes, end: int) -> None:
        self.path = path
        self.row = row
        self.link = link
        self.end = end
        self._fd = fd
        self._reserved = os.fstat(fd).st_size

    @classmethod
    def resume(cls, path: Path) -> Journal:
        """Open for appending. An end that a crash left incomplete is cut off, its complete rows are kept.

        Raises BrokenRecord where the end is not what a crash leaves.
        """
        with Reader(path) as reader:
            for _ in reader.groups():
                pass
            bad, unfinished = reader.bad(), reader.unfinished()
        if bad is not None and not bad.torn:
            raise BrokenRecord(bad.reason, remedy=REMEDY, where=f"{path.name}, row {bad.row}")
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, reader.offset)
            journal = cls(path, fd, reader.row, reader.link, reader.offset)
            if unfinished:
                journal.write([entry.row for entry in unfinished])
            sync(fd)
        except OSError:
            os.close(fd)
            raise
        return journal

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows as one group and return when they are durable."""
        data, links = pack(self.row, self.link, rows)
        write_all(self._fd, data, self.end)
        if self.end + len(data) > self._reserved:
            self._reserve(self.end + len(data))
        sync(self._fd)
        self.end += len(data)
        self.row += len(rows)
        self.link = links[-1]

    def undo(self) -> None:
        """Remove what a failed ``write`` left, so that the next one can be tried. Raises OSError."""
        os.ftruncate(self._fd, self.end)
        self._reserved = self.end
        sync(self._fd)

    @property
    def removed(self) -> bool:
        """Whether the file was deleted under us: what is appended to it is lost when it is closed."""
        return os.fstat(self._fd).st_nlink == 0

    def finish(self) -> None:
        """Cut the unused zeros and close: nothing will be appended."""
        try:
            os.ftruncate(self._fd, self.end)
            os.fsync(self._fd)
        finally:
            os.close(self._fd)

    def abandon(self) -> None:
        """Close without touching the file."""
        os.close(self._fd)

    def _reserve(self, end: int) -> None:
        """Extend with zeros beyond ``end`` if there is room; a disk that is nearly full still takes rows."""
        with contextlib.suppress(OSError):
            write_all(self._fd, _zeros, end)
        self._reserved = os.fstat(self._fd).st_size


def _header_bytes(header: Header) -> bytes:
    data = msgspec.json.encode(header, order="sorted")
    return data.ljust(HEADER_BYTES - 1) + b"\n"


def _check(head: bytes) -> bytes:
    return hashlib.blake2b(head, digest_size=8, person=b"spiritsafe-group").digest()


def _group_header(head: bytes) -> tuple[int, int, int] | None:
    """Return (first row, rows, length of the frames) of a group's header, None where there is none."""
    if len(head) < _GROUP.size:
        return None
    magic, first, rows, size, check = _GROUP.unpack(head)
    if magic != MAGIC or check != _check(head[:_CHECKED]) or rows == 0:
        return None
    return first, rows, size


def _unpack(body: bytes, first: int, rows: int, link: bytes) -> list[Entry]:
    """Cut a group's frames, as far as they are as they were written."""
    entries: list[Entry] = []
    at = 0
    for number in range(first, first + rows):
        if at + _FRAME.size > len(body):
            break
        length, envelope_length, salt = _FRAME.unpack_from(body, at)
        start, stop = at + _FRAME.size, at + 4 + length
        middle, end = start + envelope_length, stop - DIGEST_BYTES
        if stop > len(body) or middle > end:
            break
        envelope, content = body[start:middle], body[middle:end]
        row = Row(envelope, commit(content, salt), content, salt)
        link = next_link(link, row)
        if link != body[end:stop]:
            break
        entries.append(Entry(number, row, link))
        at = stop
    return entries
