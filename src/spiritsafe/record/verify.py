"""Checking a log from end to end, offline, with nothing but its folder and (better) a key and heads kept elsewhere.

The steps, repeated below where each is taken:

1. The public key: in its exact form; the one that was expected, if a fingerprint was given; the private
   key's other half, if that one lies beside the log.
2. The head: both slots in their exact form and signed.
3. The manifests: in their exact form, signed, of one log, following on each other without a gap.
4. Each segment's file: there, with the length and digest its manifest gives.
5. Each segment's rows: content as committed to, and the chain from the link before to the link after.
6. The journals: of this log, following on the segments and each other, each group and frame as written.
7. The end: nothing there that neither a live writer nor a crash leaves; all rows the head speaks of, with
   its link; nothing after them where the head says the log was closed.
8. Witnesses: each head published before is signed by this key, of this log, and its link is in the chain.

What this can't find: rows cut off the end together with a head put back that was copied from the folder
when the log was shorter, or everything signed anew by somebody who has the private key. Both need a
witness outside: publish heads (``spiritsafe record head``) and give them to step 8.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from spiritsafe.errors import BrokenRecord, ResourceError
from spiritsafe.record import head, manifest
from spiritsafe.record.canonical import commit, first_link, next_link
from spiritsafe.record.journal import Reader
from spiritsafe.record.keys import Public, Signer, read_secret
from spiritsafe.record.layout import head_path, layout, public_path, signing_key_path
from spiritsafe.record.recover import check_manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spiritsafe.record.head import Head
    from spiritsafe.record.layout import Layout
    from spiritsafe.record.manifest import Manifest
    from spiritsafe.record.segment import Stored

# A log that changes while it is checked is being written: what looks wrong is looked at again.
_TRIES, _PAUSE = 20, 0.02


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The first thing that is wrong: the step that found it, the place, the row where one can be named."""

    step: int
    where: str
    row: int | None
    message: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found. ``rows`` were checked, ``signed`` of them are covered by the head or a manifest.

    ``pruned`` rows have no content any more. ``notes`` are things to know that are not wrong.
    """

    verdict: Literal["intact", "broken"]
    problem: Finding | None
    rows: int
    signed: int
    segments: int
    journals: int
    pruned: int
    key: str
    link: str
    notes: tuple[str, ...]


def verify(
    folder: Path,
    *,
    key: str | None = None,
    heads: Sequence[bytes] = (),
    progress: Callable[[int, int], object] = lambda done, of: None,
) -> Verification:
    """Check a log, also beside a live writer.

    ``key`` is the fingerprint that is expected, ``heads`` are signed heads that were published before.
    ``progress`` is called with rows done and rows there are. Raises InputError for a folder without a
    log or one written by a newer version.
    """
    for _ in range(_TRIES):
        before = _state(folder)
        check = _Check(folder, key, heads, progress)
        check.run()
        if check.problem is None or (not check.missing and _state(folder) == before):
            break
        time.sleep(_PAUSE)
    return check.result()


class _Check:
    def __init__(
        self, folder: Path, key: str | None, heads: Sequence[bytes], progress: Callable[[int, int], object]
    ) -> None:
        self.problem: Finding | None = None
        self.missing = False
        self._folder = folder
        self._expected = key
        self._witnesses = heads
        self._progress = progress
        self._step = 0
        self._row, self._link, self._log = 0, "", ""
        self._links: dict[int, str] = {}
        self._marked: set[int] = set()
        self._signed = self._segments = self._journals = self._pruned = 0
        self._fingerprint = ""
        self._notes: list[str] = []

    def wrong(self, message: str, where: str, row: int | None = None) -> None:
        """Keep the first problem."""
        self.problem = self.problem or Finding(step=self._step, where=where, row=row, message=message)

    def result(self) -> Verification:
        return Verification(
            verdict="intact" if self.problem is None else "broken",
            problem=self.problem,
            rows=self._row,
            signed=min(self._signed, self._row),
            segments=self._segments,
            journals=self._journals,
            pruned=self._pruned,
            key=self._fingerprint,
            link=self._link,
            notes=tuple(self._notes),
        )

    def run(self) -> None:
        """Take the steps until one finds something wrong."""
        found = layout(self._folder)
        try:
            public = self._key()
            newest = self._head(public)
            witnesses = self._witness_heads(public)
            found = layout(self._folder)
            self._marked = {newest.rows if newest else 0, *(witness.rows for witness in witnesses)}
            total = newest.rows if newest else 0
            manifests = self._manifests(found, public)
            for made in manifests:
                self._segment(made, total)
            tail = self._journal_rows(found, total)
            self._end(newest, tail)
            self._in_chain(witnesses)
        except _Wrong as error:
            self.wrong(error.message, error.where, error.row)
        except BrokenRecord as error:
            self.wrong(error.message, error.where or self._folder.name)
        except FileNotFoundError as error:  # rolled or pruned since it was listed, or gone
            self.missing = True
            self.wrong("it is missing", Path(str(error.filename)).name)

    def _key(self) -> Public:
        # 1. The public key: its exact form, the expected one, the private key's other half.
        self._step = 1
        path = public_path(self._folder)
        text = _bytes(path)
        if text is None:
            raise _Wrong("the public key is missing", path.name)
        public = Public.from_text(text.decode("ascii", "replace"))
        if public is None:
            raise _Wrong("the public key is not in the form in which it is written", path.name)
        self._fingerprint = public.fingerprint
        if self._expected is not None and public.fingerprint != self._expected.replace(" ", "").lower():
            raise _Wrong(f"the public key is {public.fingerprint}, expected {self._expected}", path.name)
        private = signing_key_path(self._folder)
        if private.exists():
            try:
                own = Signer(read_secret(private)).public
            except ResourceError as error:
                self._notes.append(f"the private key could not be compared: {error.message}")
            else:
                if own.raw != public.raw:
                    raise _Wrong("the public key is not the private key's", path.name)
        elif self._expected is None:
            self._notes.append("the public key is the folder's own: give --key to check that it is the right one")
        return public

    def _head(self, public: Public) -> Head | None:
        # 2. The head: both slots in their exact form and signed.
        self._step = 2
        newest = head.newest(head_path(self._folder), public)
        if newest is None:
            return None
        self._log, self._signed = newest[0].log, newest[0].rows
        return newest[0]

    def _witness_heads(self, public: Public) -> list[Head]:
        # 8. Witnesses: each head is signed by this key, of this log.
        self._step = 8
        found = []
        for number, data in enumerate(self._witnesses, 1):
            witness = head.check(data.strip(), public, f"published head {number}")
            if self._log and witness.log != self._log:
                raise _Wrong("it is another log's", f"published head {number}")
            found.append(witness)
        return found

    def _manifests(self, found: Layout, public: Public) -> list[Manifest]:
        # 3. The manifests: exact, signed, of one log, following on each other.
        self._step = 3
        manifests = check_manifests([manifest.check(path, public) for _, path in sorted(found.manifests.items())])
        for (first, path), made in zip(sorted(found.manifests.items()), manifests, strict=True):
            if made.seal.first != first:
                raise _Wrong(f"it speaks of row {made.seal.first}, its name of {first}", path.name)
        if manifests:
            log = manifests[0].seal.log
            if self._log and log != self._log:
                raise _Wrong("the segments are another log's than the head", manifests[0].file.name)
            self._log = log
            self._signed = max(self._signed, manifests[-1].stop)
        unknown = found.files - {made.file.name for made in manifests}
        self._notes += [f"{name} belongs to no manifest, as a crash may leave it" for name in sorted(unknown)]
        return manifests

    def _segment(self, made: Manifest, total: int) -> None:
        # 4. The segment's file: there, with its length and digest.
        self._step = 4
        name = made.file.name
        path = self._folder / name
        if not path.exists():
            raise _Wrong(f"rows {made.seal.first} to {made.stop - 1} are missing", name, made.seal.first)
        same = manifest.file_entry(path, name) == made.file
        # 5. The rows. A file with wrong bytes is read too, to name the row they are in.
        self._step = 5
        self._segment_rows(path, made, total)
        if not same:
            self._step = 4
            raise _Wrong("the file's bytes are not those that were signed, outside of any row", name)
        self._segments += 1

    def _segment_rows(self, path: Path, made: Manifest, total: int) -> None:
        from spiritsafe.record.segment import read_tables, rows  # noqa: PLC0415 - pyarrow is loaded only for segments

        seal = made.seal
        self._row, self._link = seal.first, seal.link_before
        if seal.first == 0:
            self._start(seal.log, seal.link_before, path.name)
        for table in read_tables(path):
            for stored in rows(table):
                self._stored_row(stored, made, path.name)
            self._progress(self._row, max(total, made.stop))
        if self._row != made.stop or self._link != seal.link_after:
            raise _Wrong("its rows are not those that were sealed", path.name)

    def _stored_row(self, stored: Stored, made: Manifest, where: str) -> None:
        row = stored.row
        if stored.number != self._row:
            raise _Wrong(f"row {self._row} is missing or out of order", where, self._row)
        if row.content is None:
            self._pruned += 1
            if not made.pruned:
                raise _Wrong("its content is missing although the segment was never pruned", where, self._row)
        elif row.salt is None or commit(row.content, row.salt) != row.commitment:
            raise _Wrong("its content is not what was committed to", where, self._row)
        link = next_link(bytes.fromhex(self._link), row)
        if link[: len(stored.mark)] != stored.mark:
            raise _Wrong("it is not as it was written", where, self._row)
        self._advance(link.hex())

    def _journal_rows(self, found: Layout, total: int) -> bool:
        """Return whether the last journal's end is incomplete."""
        # 6. The journals: of this log, following on, each group and frame as written.
        self._step = 6
        torn = False
        waiting = [path for first, path in sorted(found.journals.items()) if first >= self._row]
        covered = len(found.journals) - len(waiting)
        if covered:
            self._notes.append(f"{covered} journals are rolled already, as a crash may leave them")
        for path in waiting:
            with Reader(path) as reader:
                if torn:
                    raise _Wrong("the journal before it has an incomplete end", path.name, self._row)
                self._journal_start(reader)
                torn = self._journal_groups(reader, total)
            self._journals += 1
        return torn

    def _journal_start(self, reader: Reader) -> None:
        header, where = reader.header, reader.path.name
        if not self._log:
            self._log = header.log
        if header.first == 0:
            self._start(header.log, header.link, where)
        if header.first != self._row:
            raise _Wrong(f"rows {self._row} to {header.first - 1} are missing", where, self._row)
        if header.log != self._log or header.link != self._link:
            raise _Wrong("it does not follow on the rows before it", where, self._row)

    def _journal_groups(self, reader: Reader, total: int) -> bool:
        bad = None
        for _ in range(_TRIES):
            for group in reader.groups():
                for entry in group:
                    self._advance(entry.link.hex())
                self._progress(self._row, max(total, self._row))
            bad = reader.bad()
            if bad is None:
                return False
            time.sleep(_PAUSE)  # a live writer may be in the middle of it
        assert bad is not None
        if not bad.torn:
            raise _Wrong(bad.reason, reader.path.name, bad.row)
        self._notes.append(f"the end of {reader.path.name} is incomplete from byte {bad.offset}, as a crash leaves it")
        return True

    def _end(self, newest: Head | None, torn: bool) -> None:
        # 7. The end: all rows of the head, with its link; nothing after a closed log's end.
        self._step = 7
        where = head_path(self._folder).name
        if newest is None:
            if self._row or torn:
                raise _Wrong("the signed head is missing", where)
            return
        if newest.log != self._log:
            raise _Wrong("the head is another log's", where)
        if newest.rows > self._row:
            raise _Wrong(
                f"rows {self._row} to {newest.rows - 1} are missing: the head was signed over {newest.rows} rows",
                where,
                self._row,
            )
        if self._links.get(newest.rows) != newest.link:
            raise _Wrong("the rows are not those that the head was signed over", where, newest.rows - 1)
        if newest.closed and (self._row > newest.rows or torn):
            raise _Wrong("something was added after the record was closed", where, newest.rows)
        if self._row > newest.rows:
            self._notes.append(f"the last {self._row - newest.rows} rows came in after the head was signed")

    def _in_chain(self, witnesses: Sequence[Head]) -> None:
        # 8. Witnesses: each head's link is in the chain.
        self._step = 8
        for number, witness in enumerate(witnesses, 1):
            where = f"published head {number}"
            if witness.log != self._log:
                raise _Wrong("it is another log's", where)
            if witness.rows > self._row:
                raise _Wrong(
                    f"rows {self._row} to {witness.rows - 1} are missing: it was signed over {witness.rows} rows",
                    where,
                    self._row,
                )
            if self._links.get(witness.rows) != witness.link:
                raise _Wrong(f"the first {witness.rows} rows are not those it was signed over", where)

    def _start(self, log: str, link: str, where: str) -> None:
        try:
            right = first_link(bytes.fromhex(log)).hex()
        except ValueError:
            right = ""
        if link != right or (self._log and log != self._log):
            raise _Wrong("it does not begin as this log does", where, 0)
        self._link = link
        self._note_link()

    def _advance(self, link: str) -> None:
        self._row += 1
        self._link = link
        self._note_link()

    def _note_link(self) -> None:
        if self._row in self._marked:
            self._links[self._row] = self._link


class _Wrong(Exception):
    """Ends the steps; nobody outside sees it."""

    def __init__(self, message: str, where: str, row: int | None = None) -> None:
        super().__init__(message)
        self.message, self.where, self.row = message, where, row


def _state(folder: Path) -> tuple[bytes | None, Layout]:
    """What changes when a writer, a roll or a pruning is at work."""
    return _bytes(head_path(folder)), layout(folder)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
