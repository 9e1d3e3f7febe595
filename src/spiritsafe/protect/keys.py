"""Keys of marks: one root that never leaves the data folder, a secret an epoch, a key a tenant, each committed first.

    root         32 random bytes, DATA/keys/marks.root, readable by its owner alone
    epoch secret HKDF-SHA256(root,         info = ["epoch", number, mark])     may be shown to an expert
    key          HKDF-SHA256(epoch secret, info = ["key", tenant or null])     its first 16 bytes key SipHash

with ``info`` as canonical JSON. Commitments are SHA-256 over a label and the secret: they tell nothing of it, since it
is random, and fit no other. They stand in DATA/marks/commitments.jsonl, which is there to be published: each line names
the digest of the line before it. Our own word for the time is as good as we are; stamp the file or publish it.
Source: RFC 5869.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from spiritsafe.errors import BrokenRecord, InputError, ResourceError, UsageError
from spiritsafe.protect.prf import SipKey, sip_key
from spiritsafe.record.keys import SECRET_BYTES, read_secret, secret

VERSION = 1
_SALT = b"spiritsafe marks 1"
_LABEL = {"root": b"spiritsafe mark root 1\x00", "epoch": b"spiritsafe mark epoch 1\x00"}
_FIRST = "0" * 64


class Commitment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the published file. ``digest`` commits to the root, or to the secret of ``epoch`` for ``mark``.

    ``before`` is the SHA-256 of the line before it, zeros for the first.
    """

    version: int
    kind: Literal["root", "epoch"]
    epoch: int
    mark: str | None
    time: datetime
    digest: str
    before: str

    @property
    def mark_id(self) -> str:
        """What the record calls answers that were marked under it: ``kgw-k1-g0.25-d2@3``."""
        return f"{self.mark}@{self.epoch}"


@dataclass(frozen=True, slots=True)
class MarkKey:
    """The key of one mark, epoch and tenant (None: everyone's). It never shows its secret when printed."""

    mark: str
    epoch: int
    tenant: str | None
    secret: bytes = field(repr=False)

    @property
    def sip(self) -> SipKey:
        return sip_key(self.secret)

    @property
    def mark_id(self) -> str:
        return f"{self.mark}@{self.epoch}"


def key_of(epoch_secret: bytes, mark: str, epoch: int, tenant: str | None = None) -> MarkKey:
    """A key from an epoch's secret alone: what an expert does who was shown that secret."""
    return MarkKey(mark, epoch, tenant, _derive(epoch_secret, "key", tenant))


def derived(key: MarkKey, *info: str | int | None) -> bytes:
    """Another 32 secret bytes for the same mark, epoch and tenant: HKDF-SHA256(key, info = ["of key", ...])."""
    return _derive(key.secret, "of key", *info)


def opens(commitment: Commitment, opened: bytes) -> bool:
    """Whether ``opened`` is the secret that was committed to."""
    return commitment.digest == _digest(commitment.kind, opened)


class Keyring:
    """The keys under one data folder. Nothing is written before ``commit``."""

    def __init__(self, data: Path) -> None:
        self._root = data / "keys" / "marks.root"
        self.path = data / "marks" / "commitments.jsonl"

    def commit(self, mark: str, now: datetime | None = None) -> Commitment:
        """Begin an epoch with ``mark``: draw the root if there is none, and publish the commitments first.

        Call it again to rotate: the new epoch's key has nothing to do with the old one's.
        """
        time = (now or datetime.now(UTC)).astimezone(UTC)
        with self._locked():
            known, last, length = self._read()
            if known and time < known[-1].time:
                raise UsageError(
                    f"the last commitment is of {known[-1].time.isoformat()}, later than {time.isoformat()}",
                    remedy="Set the clock right.",
                    where=str(self.path),
                )
            root = read_secret(self._root) if known else secret(self._root)
            lines: list[tuple[str, int, str | None, bytes]] = [] if known else [("root", 0, None, root)]
            epoch = known[-1].epoch + 1 if known else 1
            lines.append(("epoch", epoch, mark, _derive(root, "epoch", epoch, mark)))
            made: list[Commitment] = []
            data = b""
            for kind, number, name, committed in lines:
                made.append(_line(kind, number, name, time, _digest(kind, committed), last))
                line = msgspec.json.encode(made[-1]) + b"\n"
                last = hashlib.sha256(line).hexdigest()
                data += line
            self._append(length, data)
        return made[-1]

    def commitments(self) -> tuple[Commitment, ...]:
        """Every commitment, oldest first. Raises ``BrokenRecord`` where a line doesn't follow the one before it."""
        return tuple(self._read()[0])

    def epochs(self) -> tuple[Commitment, ...]:
        """The commitments to epochs, oldest first."""
        return tuple(each for each in self.commitments() if each.kind == "epoch")

    def epoch(self, number: int | None = None) -> Commitment:
        """The commitment of an epoch, the newest unless told. Raises ``UsageError`` if there is none."""
        known = self.epochs()
        found = [each for each in known if number is None or each.epoch == number]
        if not found:
            what = "no key was committed" if number is None else f"there is no epoch {number}"
            raise UsageError(what, where=str(self.path), remedy="Begin one: spiritsafe mark commit NAME.")
        return found[-1]

    def key(self, epoch: int | None = None, tenant: str | None = None) -> MarkKey:
        """The key of an epoch (the newest unless told) for a tenant, or for everyone."""
        commitment = self.epoch(epoch)
        assert commitment.mark is not None
        return key_of(self.epoch_secret(commitment.epoch), commitment.mark, commitment.epoch, tenant)

    def epoch_secret(self, epoch: int) -> bytes:
        """An epoch's secret, for the one who must check a proof. It gives away every key of that epoch, no other's."""
        commitment = self.epoch(epoch)
        found = _derive(read_secret(self._root), "epoch", commitment.epoch, commitment.mark)
        if not opens(commitment, found):
            raise BrokenRecord(
                f"the root does not fit the commitment of epoch {epoch}",
                where=str(self._root),
                remedy="Restore the root from a backup: this one was never committed to.",
            )
        return found

    def _read(self) -> tuple[list[Commitment], str, int]:
        """The lines, the digest that the next one must name, and the bytes they take.

        A last line without its end was cut short by a crash before anybody could have relied on it: it is not there.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return [], _FIRST, 0
        except OSError as error:
            raise self._trouble(error) from error
        found: list[Commitment] = []
        last, length = _FIRST, data.rfind(b"\n") + 1
        for number, line in enumerate(data[:length].splitlines(keepends=True), 1):
            where = f"{self.path}:{number}"
            try:
                each = msgspec.json.decode(line, type=Commitment)
            except msgspec.DecodeError as error:
                raise InputError(f"it is no commitment: {error}", where=where, remedy="Restore the file.") from error
            if each.before != last or each.version != VERSION:
                raise BrokenRecord("it does not follow the line before it", where=where, remedy="Restore the file.")
            found.append(each)
            last = hashlib.sha256(line).hexdigest()
        return found, last, length

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            fd = os.open(self.path.parent / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise self._trouble(error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _append(self, length: int, data: bytes) -> None:
        try:
            self.path.touch(0o644)
            with self.path.open("r+b") as file:
                file.truncate(length)
                file.seek(length)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> ResourceError:
        return ResourceError(
            f"the commitments can't be used: {error.strerror}",
            where=str(self.path),
            remedy="Check the folder's permissions and free space.",
        )


def _line(kind: str, epoch: int, mark: str | None, time: datetime, digest: str, before: str) -> Commitment:
    body = {"version": VERSION, "kind": kind, "epoch": epoch, "mark": mark, "time": time, "digest": digest}
    return msgspec.convert({**body, "before": before}, type=Commitment)


def _derive(secret_bytes: bytes, *info: str | int | None) -> bytes:
    purpose: Sequence[str | int | None] = info
    return HKDF(SHA256(), SECRET_BYTES, _SALT, msgspec.json.encode(purpose)).derive(secret_bytes)


def _digest(kind: str, committed: bytes) -> str:
    return hashlib.sha256(_LABEL[kind] + committed).hexdigest()
