"""A bundle: one file with all that a stranger needs to rerun a protocol, and a signature over every byte of it.

A ZIP archive, stored without compression, members in order, no dates: the same contents give the same bytes.

    plan.json            what was committed to before anybody was asked
    plan.tsq, plan.tsr   a stamping authority's word for its time, where there is one
    inputs/0, ...        each test's inputs
    secrets/0, ...       each test's key, shown now that its epoch is over
    said/0/0, ...        what model 0 (the suspect) said in test 0; said/reference/0 what test 0's reference said
    code.json            SHA-256 of each source file that the numbers come from
    results.json         every cell, and the conclusion
    report.html, .pdf    the same for people
    signer.pem           the key that signed
    statement.dsse.json  an in-toto statement over all other members
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from spiritsafe.errors import BrokenRecord, InputError, ResourceError
from spiritsafe.evidence import dsse, statement
from spiritsafe.evidence.document import to_html
from spiritsafe.evidence.signing import PrivateKey
from spiritsafe.prove.account import Lead, document
from spiritsafe.prove.plan import Plan, code_files
from spiritsafe.prove.protocol import Cell, Conclusion
from spiritsafe.prove.suspect import Identity
from spiritsafe.teach.types import Access

PREDICATE = "https://spiritsafe/bundle/v1"
PLAN, RESULTS, CODE = "plan.json", "results.json", "code.json"
REQUEST, RESPONSE = "plan.tsq", "plan.tsr"
PAGE, PAPER = "report.html", "report.pdf"
SIGNER, STATEMENT = "signer.pem", "statement.dsse.json"
LARGEST = 4 << 30
EPOCH = (1980, 1, 1, 0, 0, 0)
MAGIC = b"PK\x03\x04"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Who was asked: the suspect or a control."""

    role: str
    identity: Identity
    access: Access


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a plan. ``asked`` is when the asking began. ``leads`` are no evidence and had no part in it."""

    version: int
    plan: str
    asked: datetime
    models: tuple[Model, ...]
    cells: tuple[Cell, ...]
    conclusion: Conclusion
    leads: tuple[Lead, ...] = ()

    @property
    def data(self) -> bytes:
        """As JSON for people to read and machines to compare."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=1)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The statement's predicate: what the bundle says, in short."""

    case: str
    plan: str
    code: str
    package: str
    verdict: str


def members(
    plan: Plan,
    results: Results,
    inputs: Mapping[str, bytes],
    secrets: Mapping[str, bytes],
    said: Mapping[str, bytes],
    stamp: tuple[bytes, bytes] | None = None,
) -> dict[str, bytes]:
    """All members but the signer's two. ``inputs`` and ``secrets`` are by the number of the test, ``said`` by
    ``model/test`` or ``reference/test``.
    """
    from spiritsafe.evidence.pdf import to_pdf  # noqa: PLC0415 - what sets the paper is loaded to set it

    told = document(plan, results)
    found = {
        PLAN: plan.data,
        RESULTS: results.data,
        CODE: msgspec.json.format(msgspec.json.encode(code_files(), order="sorted"), indent=1),
        PAGE: to_html(told).encode(),
        PAPER: to_pdf(told),
        **{f"inputs/{name}": data for name, data in inputs.items()},
        **{f"secrets/{name}": data.hex().encode() + b"\n" for name, data in secrets.items()},
        **{f"said/{name}": data for name, data in said.items()},
    }
    if stamp is not None:
        found |= {REQUEST: stamp[0], RESPONSE: stamp[1]}
    return found


def signed(contents: Mapping[str, bytes], plan: Plan, verdict: str, key: PrivateKey) -> dict[str, bytes]:
    """The members with the signer's public key and statement."""
    all_but = {**contents, SIGNER: key.public.pem}
    subjects = tuple(
        statement.Subject(name, {"sha256": hashlib.sha256(all_but[name]).hexdigest()}) for name in sorted(all_but)
    )
    claim = Claim(case=plan.case, plan=plan.digest, code=plan.code, package=plan.package, verdict=verdict)
    payload = statement.write(subjects, PREDICATE, claim)
    envelope = dsse.seal(statement.PAYLOAD_TYPE, payload, key.sign, key.public.fingerprint)
    return {**all_but, STATEMENT: dsse.encode(envelope)}


def packed(contents: Mapping[str, bytes]) -> bytes:
    """The archive with these members; the same members give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, contents[name])
    return out.getvalue()


def write(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write the archive. Raises ``ResourceError`` if it can't be written."""
    try:
        path.write_bytes(packed(contents))
    except OSError as error:
        raise ResourceError(
            f"the bundle can't be written: {error.strerror}", where=str(path), remedy="Choose another --out."
        ) from error


def unpacked(path: Path) -> dict[str, bytes]:
    """The members of a bundle. Raises ``InputError`` for a file that can't be read, ``BrokenRecord`` for bytes that
    ``packed`` did not write: between the members nothing may hide.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the bundle can't be read: {error.strerror}", where=str(path), remedy="Check it.") from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise _broken("it unpacks to more than is sensible", path)
            contents = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise _broken(f"it is no whole archive: {error}", path) from error
    again = packed(contents)
    if again != data:
        at = next((n for n, (a, b) in enumerate(zip(again, data, strict=False)) if a != b), min(len(again), len(data)))
        raise _broken(f"the archive itself was changed, first at byte {at}", path)
    return contents


def is_bundle(path: Path) -> bool:
    """Whether the file at ``path`` looks like one."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def decoded(contents: Mapping[str, bytes], name: str, kind: type[Any]) -> Any:
    """A member as ``kind``. Raises ``BrokenRecord`` naming it."""
    try:
        return msgspec.json.decode(contents[name], type=kind)
    except (KeyError, msgspec.MsgspecError) as error:
        raise BrokenRecord(f"it can't be read: {error}", where=name, remedy=REMEDY) from error


REMEDY = "Get the bundle again from whoever made it; trust nothing in this one."


def _broken(message: str, path: Path) -> BrokenRecord:
    return BrokenRecord(message, where=str(path), remedy=REMEDY)
