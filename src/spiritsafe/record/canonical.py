"""The one form in which an exchange is hashed, and the digests made of it.

``FORM`` is ``exchange-1:json-sorted:blake2b-256``: JSON in UTF-8 without spaces, the keys of every
object in order of their code points, fields that are null or empty left out, ``version`` always there,
times in UTC with as many digits of microseconds as are not zero, a number that is not finite as null,
a text's lone surrogate as U+FFFD.

An exchange is hashed in two parts. Its *content* (``completion, messages, reasoning, sketch, system``)
is committed to by BLAKE2b-256 keyed with 16 random bytes, the salt, which is stored beside the content:
a plain hash of a short prompt can be guessed by trying prompts. The rest is the *envelope*. The row's
digest is that of the envelope and the commitment, so content and salt can be dropped later and the row
still verifies, while what was said can't be guessed from what is left.

    commitment  = BLAKE2b-256(content, key=salt, person="spiritsafe-con-1")
    row digest  = BLAKE2b-256(commitment + envelope, person="spiritsafe-row-1")
    link        = BLAKE2b-256(link before + row digest, person="spiritsafe-link1")
    first link  = BLAKE2b-256(the log's identity, person="spiritsafe-log-1")
"""

from __future__ import annotations

import hashlib
import math
import os
from typing import Any, NamedTuple

import msgspec

from spiritsafe.errors import InputError
from spiritsafe.record.exchange import CONTENT_FIELDS, VERSION, Exchange, Message

FORM = "exchange-1:json-sorted:blake2b-256"
SALT_BYTES = 16
DIGEST_BYTES = 32

_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Exchange)
_without_content: dict[str, None] = dict.fromkeys(CONTENT_FIELDS)


def _stored_envelope() -> type[msgspec.Struct]:
    """The envelope's own struct: an exchange without content, its open-ended fields left as JSON text."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(Exchange):
        if field.name in CONTENT_FIELDS:
            continue
        if field.name in ("params", "extra"):
            fields.append((field.name, msgspec.Raw, msgspec.Raw()))
        elif field.name == "version" or field.required:
            fields.append((field.name, field.type))
        else:
            fields.append((field.name, field.type, field.default))
    return msgspec.defstruct("Envelope", fields, kw_only=True, frozen=True, omit_defaults=True)


Envelope = _stored_envelope()
_envelope_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Envelope)


class StoredContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The content fields, those of open shape left as JSON text."""

    completion: str | None = None
    messages: msgspec.Raw = msgspec.Raw()
    reasoning: str | None = None
    sketch: msgspec.Raw = msgspec.Raw()
    system: str | None = None


class _Content(msgspec.Struct, frozen=True, omit_defaults=True):
    completion: str | None = None
    messages: tuple[Message, ...] | None = None
    reasoning: str | None = None
    sketch: dict[str, Any] | None = None
    system: str | None = None


class Row(NamedTuple):
    """One exchange as it is stored: ``content`` and ``salt`` are None once they were pruned."""

    envelope: bytes
    commitment: bytes
    content: bytes | None
    salt: bytes | None


def canonical(exchange: Exchange) -> bytes:
    """Return the canonical bytes of a whole exchange. Raises InputError for a value that JSON can't hold."""
    return _encode(exchange)


def decode(data: bytes, where: str | None = None) -> Exchange:
    """Read an exchange from JSON; fields that version 1 doesn't know are kept in ``extra``.

    Raises InputError for a newer version or a field of the wrong type.
    """
    try:
        exchange = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(data, error, where) from error
    values = msgspec.json.decode(data)
    unknown = sorted(values.keys() - set(Exchange.__struct_fields__))
    if unknown:
        kept = {**{name: values[name] for name in unknown}, **exchange.extra}
        exchange = msgspec.structs.replace(exchange, extra=kept)
    _check_version(exchange.version, where)
    return exchange


def seal(exchange: Exchange, salt: bytes | None = None) -> Row:
    """Split an exchange into the row that is stored. Raises InputError for one that could not be read again."""
    _check_version(exchange.version, exchange.exchange_id)
    _check_content(exchange)
    content = _encode(
        _Content(exchange.completion, exchange.messages, exchange.reasoning, exchange.sketch, exchange.system)
    )
    envelope = _encode(msgspec.structs.replace(exchange, **_without_content))
    try:
        # What is stored is what reading it gives back, so that it can be hashed again from its columns.
        envelope = _encoder.encode(_envelope_decoder.decode(envelope))
    except msgspec.ValidationError as error:
        raise _unreadable(envelope, error, exchange.exchange_id) from error
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    return Row(envelope, commit(content, salt), content, salt)


def open_row(row: Row, where: str | None = None) -> Exchange:
    """Read a stored row; one whose content was pruned says ``content="none"``."""
    try:
        if row.content is None:
            exchange = msgspec.structs.replace(_decoder.decode(row.envelope), content="none")
        elif row.content == b"{}":
            exchange = _decoder.decode(row.envelope)
        else:
            # Both are objects that are not empty, so they join into one.
            exchange = _decoder.decode(row.envelope[:-1] + b"," + row.content[1:])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(row.envelope, error, where) from error
    _check_version(exchange.version, where)
    return exchange


def commit(content: bytes, salt: bytes) -> bytes:
    """Return the commitment to an exchange's content."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES, key=salt, person=b"spiritsafe-con-1").digest()


def row_digest(row: Row) -> bytes:
    """Return the digest that the chain holds for a row, pruned or not."""
    return hashlib.blake2b(row.commitment + row.envelope, digest_size=DIGEST_BYTES, person=b"spiritsafe-row-1").digest()


def digest(exchange: Exchange, salt: bytes) -> bytes:
    """Return the row digest of an exchange whose content was committed to with ``salt``."""
    return row_digest(seal(exchange, salt))


def first_link(identity: bytes) -> bytes:
    """Return the link before row 0 of the log with this identity."""
    return hashlib.blake2b(identity, digest_size=DIGEST_BYTES, person=b"spiritsafe-log-1").digest()


def next_link(link: bytes, row: Row) -> bytes:
    """Return the link after ``row``, given the one before it."""
    return hashlib.blake2b(link + row_digest(row), digest_size=DIGEST_BYTES, person=b"spiritsafe-link1").digest()


def _encode(value: Any) -> bytes:
    try:
        return _encoder.encode(value)
    except (TypeError, UnicodeEncodeError):
        # Keys that are not text, and text with lone surrogates: rare enough to be looked for only now.
        try:
            return _encoder.encode(_plain(msgspec.to_builtins(value, str_keys=True)))
        except TypeError as error:
            raise InputError(
                f"an exchange holds a value that JSON can't: {error}", remedy="Give plain JSON values"
            ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_plain(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _check_content(exchange: Exchange) -> None:
    for text in (exchange.system, exchange.completion, exchange.reasoning):
        if text is not None and not isinstance(text, str):
            raise InputError("an exchange's text is not text", remedy="Give a string", where=exchange.exchange_id)
    for message in exchange.messages or ():
        if type(message) is not Message or type(message.role) is not str:
            raise InputError(
                "an exchange's messages hold something else", remedy="Give Message values", where=exchange.exchange_id
            )


def _check_version(version: int, where: str | None) -> None:
    if version != VERSION:
        raise InputError(
            f"an exchange has version {version}, this spiritsafe reads version {VERSION}",
            remedy="Read it with the newer spiritsafe that wrote it",
            where=where,
        )


class _Peek(msgspec.Struct):
    version: int = VERSION


def _unreadable(data: bytes, error: Exception, where: str | None) -> InputError:
    try:
        _check_version(msgspec.json.decode(data, type=_Peek).version, where)
    except InputError as newer:
        return newer
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    return InputError(f"an exchange can't be read: {error}", remedy="Check the log it comes from", where=where)
