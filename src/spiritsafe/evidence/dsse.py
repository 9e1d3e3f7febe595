"""DSSE envelopes: a payload with its type and the signatures over both, exact to the last byte.

Source: https://github.com/secure-systems-lab/dsse, protocol.md and envelope.md, version 1.0.2.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

import msgspec

from spiritsafe.errors import BrokenRecord

Sign = Callable[[bytes], bytes]


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``sig`` is base64. ``keyid`` is a hint and proves nothing."""

    keyid: str
    sig: str


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"payload_type": "payloadType"}):
    """``payload`` is base64."""

    payload: str
    payload_type: str
    signatures: tuple[Signature, ...]


class Opened(msgspec.Struct, frozen=True):
    """An envelope's content, as bytes. ``signed`` is what ``signature`` is over."""

    payload: bytes
    payload_type: str
    keyid: str
    signature: bytes
    signed: bytes


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def seal(payload_type: str, payload: bytes, sign: Sign, keyid: str) -> Envelope:
    """``payload`` in an envelope with one signature."""
    signature = sign(pae(payload_type, payload))
    return Envelope(_text(payload), payload_type, (Signature(keyid, _text(signature)),))


def encode(envelope: Envelope) -> bytes:
    """The envelope as a file: one line of JSON, keys in order."""
    return msgspec.json.encode(envelope, order="sorted")


def decode(data: bytes, where: str) -> Opened:
    """Read a file that ``encode`` wrote. Nothing is verified; raises ``BrokenRecord`` for any other bytes."""
    try:
        envelope = msgspec.json.decode(data, type=Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise wrong_form(f"it is no envelope: {error}", where) from error
    if encode(envelope) != data:
        raise wrong_form("it is not in the form in which it is written", where)
    return unpack(envelope, where)


def unpack(envelope: Envelope, where: str) -> Opened:
    """The content of an envelope with exactly one signature."""
    if len(envelope.signatures) != 1:
        raise wrong_form(f"it has {len(envelope.signatures)} signatures, not one", where)
    signature = envelope.signatures[0]
    payload = _bytes(envelope.payload, where)
    return Opened(
        payload,
        envelope.payload_type,
        signature.keyid,
        _bytes(signature.sig, where),
        pae(envelope.payload_type, payload),
    )


def wrong_form(message: str, where: str) -> BrokenRecord:
    """What is raised for bytes that nobody of ours wrote."""
    return BrokenRecord(message, remedy="Get the file again from where it came from.", where=where)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str, where: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise wrong_form(f"it holds what is no base64: {error}", where) from error
    if _text(data) != text:  # spare bits in the last character can be set at will
        raise wrong_form("it is not in the form in which it is written", where)
    return data
