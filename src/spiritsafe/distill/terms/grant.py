"""A grant: a rights holder's signed permission to distil, for a purpose, within a scope, until a day.

The file is a DSSE envelope (https://github.com/secure-systems-lab/dsse, protocol 1.0.2) around a JSON statement, so
that what is signed is the bytes that are read. A signature proves nothing unless its key is one that the reader
trusts to speak for the teacher: the reader names those keys.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from spiritsafe.distill.terms.match import words
from spiritsafe.distill.terms.types import Answer, Purpose
from spiritsafe.errors import InputError, Refused
from spiritsafe.evidence import dsse
from spiritsafe.record.keys import Public, Signer

PAYLOAD_TYPE = "application/vnd.spiritsafe.grant+json;version=1"


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a grant reaches. ``max_tokens`` and ``max_requests`` bound what may be asked of the teacher; ``release``
    says whether the student may be passed on. None is no limit.
    """

    max_tokens: int | None = None
    max_requests: int | None = None
    release: bool = True
    conditions: tuple[str, ...] = ()


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``teachers`` are names as the registry would match them: the grant covers a name that begins with one."""

    version: Literal[1] = 1
    grant_id: str
    issuer: str
    licensee: str
    teachers: tuple[str, ...]
    purposes: tuple[Purpose, ...]
    issued: datetime
    not_before: datetime
    expires: datetime
    scope: Scope = Scope()


class Permit(msgspec.Struct, frozen=True, kw_only=True):
    """A grant that was found to hold, and whose key signed it."""

    grant: Grant
    key: str


def seal_grant(grant: Grant, signer: Signer) -> bytes:
    """The grant's file: its statement in an envelope, signed."""
    envelope = dsse.seal(PAYLOAD_TYPE, msgspec.json.encode(grant), signer.sign, signer.public.fingerprint)
    return msgspec.json.format(msgspec.json.encode(envelope), indent=1)


def open_grant(data: bytes, trusted: Sequence[Public], *, where: str) -> Permit:
    """The grant in ``data``, if one of the ``trusted`` keys signed exactly these bytes.

    Raises ``InputError`` for a file that is no grant and ``Refused`` for one that nobody trusted has signed.
    """
    # 1. The envelope is one, and holds a grant.
    try:
        envelope = msgspec.json.decode(data, type=dsse.Envelope)
        payload = base64.b64decode(envelope.payload, validate=True)
        signatures = [base64.b64decode(s.sig, validate=True) for s in envelope.signatures]
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error) as error:
        raise InputError(f"not a grant: {error}", remedy="Ask its issuer for the file again.", where=where) from error
    if envelope.payload_type != PAYLOAD_TYPE:
        raise InputError(
            f"holds {envelope.payload_type!r}", remedy=f"A grant is of type {PAYLOAD_TYPE!r}.", where=where
        )
    # 2. A trusted key signed it. Nothing of the payload is looked at before.
    signed = dsse.pae(envelope.payload_type, payload)
    key = next((k for k in trusted for s in signatures if k.verifies(s, signed)), None)
    if key is None:
        named = ", ".join(s.keyid for s in envelope.signatures) or "none"
        raise Refused(
            f"no trusted key signed this grant (it names: {named}; trusted: {len(trusted)})",
            remedy="Name the teacher's owner's public key with --trust, or ask them for a grant signed with it.",
            where=where,
        )
    # 3. The statement has the form of a grant.
    try:
        return Permit(grant=msgspec.json.decode(payload, type=Grant), key=key.fingerprint)
    except msgspec.MsgspecError as error:
        raise InputError(f"not a grant: {error}", remedy="Ask its issuer for the file again.", where=where) from error


def permit(answer: Answer, held: Permit, *, now: datetime, where: str) -> Answer:
    """``answer`` as it stands with the grant: conditional on the grant's scope. The terms' own reasons stay readable.

    Raises ``Refused`` if the grant is for another teacher, another purpose or another time.
    """
    grant = held.grant
    asked = words(answer.name.rsplit("/", 1)[-1])
    covered = [t for t in grant.teachers if words(t) and asked[: len(words(t))] == words(t)]
    if not covered:
        raise Refused(
            f"the grant is for {', '.join(grant.teachers)}, not for {answer.name}",
            remedy="Ask its issuer to name this teacher.",
            where=where,
        )
    if answer.purpose not in grant.purposes:
        raise Refused(
            f"the grant is for {', '.join(grant.purposes)}, not for {answer.purpose}",
            remedy="Ask its issuer to name this purpose.",
            where=where,
        )
    if not grant.not_before <= now < grant.expires:
        raise Refused(
            f"the grant holds from {grant.not_before:%Y-%m-%d} to {grant.expires:%Y-%m-%d}",
            remedy="Ask its issuer to renew it.",
            where=where,
        )
    return msgspec.structs.replace(
        answer,
        verdict="conditional",
        reasons=(
            f"{grant.issuer} permits it to {grant.licensee} (grant {grant.grant_id}, key {held.key})",
            *answer.reasons,
        ),
        conditions=(*_conditions(grant), *answer.conditions),
        grant=grant.grant_id,
    )


def _conditions(grant: Grant) -> list[str]:
    scope = grant.scope
    found = [f"Only until {grant.expires.astimezone(UTC):%Y-%m-%d}, by {grant.licensee}."]
    if scope.max_tokens is not None:
        found.append(f"At most {scope.max_tokens:,} tokens are asked of the teacher.")
    if scope.max_requests is not None:
        found.append(f"At most {scope.max_requests:,} requests are made.")
    if not scope.release:
        found.append("The student is not passed on.")
    return found + list(scope.conditions)
