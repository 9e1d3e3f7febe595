"""in-toto statements, version 1: what is said (a predicate of some type) about which files.

Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from spiritsafe.evidence.dsse import wrong_form

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"

P = TypeVar("P", bound=msgspec.Struct)


class Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that the statement is about; ``digest`` is by algorithm."""

    name: str
    digest: dict[str, str]


class Statement(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"kind": "_type", "predicate_type": "predicateType"},
):
    """A statement whose predicate is still raw JSON."""

    kind: str
    subject: tuple[Subject, ...]
    predicate_type: str
    predicate: msgspec.Raw


def write(subjects: tuple[Subject, ...], predicate_type: str, predicate: msgspec.Struct) -> bytes:
    """A statement as canonical JSON: no spaces, keys in order."""
    raw = msgspec.Raw(msgspec.json.encode(predicate, order="sorted"))
    return msgspec.json.encode(Statement(STATEMENT, subjects, predicate_type, raw), order="sorted")


def read(payload: bytes, payload_type: str, where: str) -> Statement:
    """The statement in a payload, predicate unread. Raises ``BrokenRecord`` for bytes that ``write`` did not write."""
    if payload_type != PAYLOAD_TYPE:
        raise wrong_form(f"its payload is of type {payload_type!r}, not {PAYLOAD_TYPE!r}", where)
    try:
        statement = msgspec.json.decode(payload, type=Statement)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise wrong_form(f"it holds no in-toto statement: {error}", where) from error
    if statement.kind != STATEMENT:
        raise wrong_form(f"its statement is of type {statement.kind!r}, not {STATEMENT!r}", where)
    if msgspec.json.encode(statement, order="sorted") != payload:
        raise wrong_form("it is not in the form in which it is written", where)
    return statement


def predicate(statement: Statement, kind: type[P], where: str) -> P:
    """The predicate as ``kind``, exact to the last byte."""
    try:
        found = msgspec.json.decode(statement.predicate, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise wrong_form(f"its {statement.predicate_type} can't be read: {error}", where) from error
    if msgspec.json.encode(found, order="sorted") != bytes(statement.predicate):
        raise wrong_form("it is not in the form in which it is written", where)
    return found
