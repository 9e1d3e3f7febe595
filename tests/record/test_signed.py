"""A signed document stands and falls with every single byte."""

from __future__ import annotations

import msgspec
import pytest

from spiritsafe.errors import BrokenRecord, InputError
from spiritsafe.record import signed
from spiritsafe.record.keys import Signer

FORM = "spiritsafe-note-1"
SIGNER = Signer(bytes(32))


class Note(signed.Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: str
    number: int = 0


def note(**fields: object) -> Note:
    given = {"format": FORM, "key": SIGNER.public.fingerprint, "text": "hello"}
    return Note(**{**given, **fields})  # type: ignore[arg-type]


def test_a_document_comes_back() -> None:
    data = signed.sign(note(number=3), SIGNER)
    assert signed.check(data, Note, FORM, SIGNER.public, "note") == note(number=3)
    assert signed.peek(data, Note, FORM, "note") == note(number=3)


def test_every_changed_byte_is_found() -> None:
    data = signed.sign(note(), SIGNER)
    for at in range(len(data)):
        for flip in (0x01, 0x20, 0x80):
            wrong = data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
            with pytest.raises((BrokenRecord, InputError)):
                signed.check(wrong, Note, FORM, SIGNER.public, "note")


@pytest.mark.parametrize(
    "change", [lambda d: d + b" ", lambda d: b" " + d, lambda d: d[:-1], lambda d: b"", lambda d: d + d]
)
def test_anything_around_it_is_found(change) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BrokenRecord, match="note"):
        signed.check(change(signed.sign(note(), SIGNER)), Note, FORM, SIGNER.public, "note")


def test_another_key_is_found() -> None:
    other = Signer(bytes([1] * 32))
    with pytest.raises(BrokenRecord, match=f"not by the key {SIGNER.public.fingerprint}"):
        signed.check(signed.sign(note(), other), Note, FORM, SIGNER.public, "note")
    with pytest.raises(BrokenRecord, match="not by the key"):
        signed.check(signed.sign(note(key="somebody"), SIGNER), Note, FORM, SIGNER.public, "note")


def test_a_newer_form_says_so() -> None:
    class Newer(signed.Document, frozen=True, kw_only=True):
        other: int

    newer = Newer(format="spiritsafe-note-2", key=SIGNER.public.fingerprint, other=1)
    with pytest.raises(InputError, match="form spiritsafe-note-2, this version reads spiritsafe-note-1"):
        signed.check(signed.sign(newer, SIGNER), Note, FORM, SIGNER.public, "note")
    with pytest.raises(BrokenRecord, match="its form is 'spiritsafe-other-1'"):
        signed.check(signed.sign(note(format="spiritsafe-other-1"), SIGNER), Note, FORM, SIGNER.public, "note")


def test_a_signature_serves_for_its_kind_alone() -> None:
    data = signed.sign(note(), SIGNER)
    raw = msgspec.json.encode(note(), order="sorted")
    signature = bytes.fromhex(msgspec.json.decode(data)["signature"])
    assert SIGNER.public.verifies(signature, FORM.encode() + b"\n" + raw)
    assert not SIGNER.public.verifies(signature, raw)
