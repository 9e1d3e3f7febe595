"""Where a student comes from, as a signed in-toto statement that stands beside its weights.

The statement's subjects are all files of the student's folder but the two that are signed over them: this statement
itself and ``model.sig``, which covers it. What is a digest can be checked; what is under ``claims`` is the signer's
word.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

from spiritsafe.errors import InputError
from spiritsafe.evidence import dsse, statement
from spiritsafe.evidence.dsse import wrong_form
from spiritsafe.evidence.manifest import Manifest, manifest_of
from spiritsafe.evidence.signing import PrivateKey, PublicKey

NAME = "lineage.dsse.json"
KEY = "signer.pem"
# Copies of what the statement gives digests of: the stages' manifests, the grant, and the key that signed it.
FOLDER = "lineage"
GRANT, GRANT_KEY = "grant.json", "grant.pub"
_PREDICATE = "https://spiritsafe/lineage/v"
VERSION = 1


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every part of a statement is: nothing in it may be unknown to the reader."""


class Terms(Said, frozen=True, kw_only=True):
    """One licence or set of terms that holds for the teacher. ``read`` is the day on which its text was read."""

    terms: str
    name: str
    verdict: str
    document: str
    url: str | None
    read: date | None


class Grant(Said, frozen=True, kw_only=True):
    """A permission beyond the terms. ``sha256`` is of its file, ``key`` the fingerprint of who signed it."""

    grant_id: str
    issuer: str
    licensee: str
    expires: datetime
    sha256: str
    key: str


class Teacher(Said, frozen=True, kw_only=True):
    """Whom the student learnt from. ``name`` is what the terms were looked up for; ``source`` how it was reached,
    without the place on the machine; ``sha256`` of its weights where they were at hand (a folder's is ``Manifest.root``
    of its safetensors files). ``checked`` is when the terms were asked, before the first request.
    """

    name: str
    source: str
    sha256: str | None
    purpose: str
    verdict: str
    reasons: tuple[str, ...]
    conditions: tuple[str, ...]
    terms: tuple[Terms, ...]
    verified: bool
    checked: datetime
    grant: Grant | None


class Prompts(Said, frozen=True, kw_only=True):
    """A file of prompts, and what it may be used under or who decided to use it without knowing."""

    file: str
    licence: str | None
    acknowledged_by: str | None


class Head(Said, frozen=True, kw_only=True):
    """The record's head over the collected answers when the student was sealed (``record.head``)."""

    log: str
    rows: int
    link: str
    key: str


class Stage(Said, frozen=True, kw_only=True):
    """One stage of the run. ``manifest`` is the SHA-256 of its manifest, a copy of which lies in ``lineage/``."""

    stage: str
    manifest: str
    code: str


class Claim(Said, frozen=True, kw_only=True):
    """A number that the signer gives; ``beside`` is what it is to be read beside, ``basis`` how it was come by."""

    name: str
    value: float | None
    unit: str
    interval: tuple[float, float] | None = None
    beside: str | None = None
    basis: str


class Signer(Said, frozen=True, kw_only=True):
    """``own``: a key that its owner keeps and gave; ``fresh``: one made for this run, which proves only that the same
    hand signed all of it.
    """

    key: str
    origin: Literal["own", "fresh"]


class Lineage(Said, frozen=True, kw_only=True):
    """The predicate. ``answers`` and ``curated`` are the files of those stages by name with their SHA-256; ``weights``
    those of the student's own. ``code`` and ``recipe`` are of the sealing.
    """

    version: int = VERSION
    name: str
    made: datetime
    teacher: Teacher
    prompts: tuple[Prompts, ...]
    record: Head | None
    answers: dict[str, str]
    curated: dict[str, str]
    stages: tuple[Stage, ...]
    code: str
    recipe: str
    weights: dict[str, str]
    claims: tuple[Claim, ...]
    signer: Signer


class Signed(msgspec.Struct, frozen=True):
    """A statement before it is verified. ``files`` are its subjects, ``keyid`` the key that its envelope names."""

    lineage: Lineage
    files: Manifest
    keyid: str
    signature: bytes
    signed: bytes

    def by(self, key: PublicKey) -> bool:
        """Whether ``key`` signed it."""
        return key.verifies(self.signature, self.signed)


def sign(lineage: Lineage, files: Manifest, key: PrivateKey) -> bytes:
    """The statement's file, about ``files`` (those of the student's folder but this one and the model signature)."""
    subjects = tuple(statement.Subject(name, {"sha256": digest}) for name, digest in files.files.items())
    payload = statement.write(subjects, f"{_PREDICATE}{lineage.version}", lineage)
    return dsse.encode(dsse.seal(statement.PAYLOAD_TYPE, payload, key.sign, key.public.fingerprint))


def read(data: bytes, where: str) -> Signed:
    """Read what ``sign`` wrote, verifying nothing.

    Raises ``InputError`` for a newer version and ``BrokenRecord`` for any other bytes.
    """
    opened = dsse.decode(data, where)
    said = statement.read(opened.payload, opened.payload_type, where)
    number = said.predicate_type.removeprefix(_PREDICATE)
    if number != said.predicate_type and number.isdecimal() and int(number) > VERSION:
        raise InputError(
            f"it has version {number}, this program reads {VERSION}",
            remedy="Verify it with the newer spiritsafe that wrote it.",
            where=where,
        )
    if number != str(VERSION):
        raise wrong_form(f"it is about {said.predicate_type!r}, not {_PREDICATE}{VERSION}", where)
    found = statement.predicate(said, Lineage, where)
    digests = {subject.name: subject.digest.get("sha256", "") for subject in said.subject}
    if len(digests) != len(said.subject) or found.version != VERSION:
        raise wrong_form("it is not in the form in which it is written", where)
    return Signed(found, manifest_of(digests), opened.keyid, opened.signature, opened.signed)
