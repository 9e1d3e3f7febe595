"""Small signed documents: canonical JSON inside an envelope with its signature, exact to the last byte.

    {"signature": "<128 hexadecimal digits>", "signed": {...}}

What is signed is the kind of document, a line feed, and the bytes of ``signed`` as they stand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from spiritsafe.errors import BrokenRecord, InputError

if TYPE_CHECKING:
    from spiritsafe.record.keys import Public, Signer


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every signed document says: its ``format``, and the fingerprint of the key that signed it."""

    format: str
    key: str


T = TypeVar("T", bound=Document)


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    signature: str
    signed: msgspec.Raw


class _Peek(msgspec.Struct):
    format: str = ""


def sign(document: Document, signer: Signer) -> bytes:
    """Return the signed document, one line of JSON without a line feed."""
    raw = msgspec.json.encode(document, order="sorted")
    return msgspec.json.encode(_Signed(signer.sign(_domain(document.format, raw)).hex(), msgspec.Raw(raw)))


def check(data: bytes, kind: type[T], form: str, public: Public, where: str) -> T:
    """Read a signed document and check every byte of it. Raises BrokenRecord, or InputError for a newer form."""
    document, signature, raw = _open(data, kind, form, where)
    if not public.verifies(signature, _domain(form, raw)) or document.key != public.fingerprint:
        raise BrokenRecord(f"the signature is not by the key {public.fingerprint}", remedy=REMEDY, where=where)
    return document


def peek(data: bytes, kind: type[T], form: str, where: str) -> T:
    """Read a signed document without checking its signature: for readers that hold no key."""
    return _open(data, kind, form, where)[0]


def _open(data: bytes, kind: type[T], form: str, where: str) -> tuple[T, bytes, bytes]:
    try:
        signed = msgspec.json.decode(data, type=_Signed)
        raw = bytes(signed.signed)
        check_form(msgspec.json.decode(raw, type=_Peek).format, form, where)
        document = msgspec.json.decode(raw, type=kind)
        signature = bytes.fromhex(signed.signature)
    except (msgspec.DecodeError, ValueError) as error:
        raise BrokenRecord(f"it can't be read: {error}", remedy=REMEDY, where=where) from error
    exact = msgspec.json.encode(signed) == data and msgspec.json.encode(document, order="sorted") == raw
    if not exact or signature.hex() != signed.signature:
        raise BrokenRecord("it is not in the form in which it is written", remedy=REMEDY, where=where)
    return document, signature, raw


def check_form(found: str, form: str, where: str) -> None:
    """Raise InputError for a newer number of the same form, BrokenRecord for any other."""
    name, _, number = form.rpartition("-")
    found_name, _, found_number = found.rpartition("-")
    if found_name == name and found_number.isdecimal() and int(found_number) > int(number):
        raise InputError(
            f"it has the form {found}, this version reads {form}",
            remedy="Read it with the newer spiritsafe that wrote it",
            where=where,
        )
    if found != form:
        raise BrokenRecord(f"its form is {found!r}, expected {form!r}", remedy=REMEDY, where=where)


def _domain(form: str, raw: bytes) -> bytes:
    return form.encode() + b"\n" + raw


REMEDY = "Run `spiritsafe verify` for the whole finding, keep the folder as it is, and compare with a published head"
