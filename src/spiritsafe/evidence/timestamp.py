"""Trusted time: a stamping authority's word that some bytes were there at some time.

Source: RFC 3161. The request holds a SHA-512 digest and a nonce, never the bytes; request and response are kept
together, and ``check`` needs nothing but them, the bytes and the authority's certificate.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from spiritsafe.errors import BrokenRecord, InputError, ResourceError

PATIENCE = 30.0
LARGEST = 1 << 20
GRANTED = (0, 1)


class Stamp(msgspec.Struct, frozen=True):
    """A request and the response to it, as they went over the wire (DER)."""

    request: bytes
    response: bytes


def stamped(url: str, data: bytes) -> Stamp:
    """Ask the authority at ``url`` to stamp ``data``. Raises ``ResourceError`` if it does not."""
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url!r} is no address of a stamping authority", remedy="Give http://... or https://...")
    # By default the request has a nonce and asks for the authority's certificate.
    wanted = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA512).build()
    body = wanted.as_bytes()
    headers = {"content-type": "application/timestamp-query", "accept": "application/timestamp-reply"}
    try:
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310 - checked above
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            said = answer.read(LARGEST)
    except (OSError, urllib.error.URLError) as error:
        raise ResourceError(
            f"the stamping authority does not answer: {error}", where=url, remedy="Try again."
        ) from error
    try:
        response = decode_timestamp_response(said)
    except ValueError as error:
        raise ResourceError(f"what came back is no time stamp: {error}", where=url, remedy="Check the URL.") from error
    if response.status not in GRANTED:
        why = "; ".join(response.status_string) or f"status {response.status}"
        raise ResourceError(f"the stamping authority refuses: {why}", where=url, remedy="Use another authority.")
    if response.tst_info.nonce != wanted.nonce:
        raise ResourceError("the time stamp answers another request", where=url, remedy="Use another authority.")
    return Stamp(body, said)


def time_of(stamp: Stamp, where: str) -> datetime:
    """When the stamp says that its bytes were there; nothing is verified. Raises ``BrokenRecord``."""
    try:
        return decode_timestamp_response(stamp.response).tst_info.gen_time
    except ValueError as error:
        raise BrokenRecord(f"it is no time stamp: {error}", where=where, remedy="Get the file again.") from error


def check(stamp: Stamp, data: bytes, roots: Sequence[x509.Certificate], where: str) -> datetime:
    """When ``data`` was there, by the word of an authority that one of ``roots`` vouches for.

    Raises ``BrokenRecord`` for a stamp over other bytes, of another authority, or changed.
    """
    try:
        response = decode_timestamp_response(stamp.response)
        builder = VerifierBuilder()
        for root in roots:
            builder = builder.add_root_certificate(root)
        builder.build().verify_message(response, data)
    except (VerificationError, ValueError) as error:
        raise BrokenRecord(
            f"its time stamp does not hold: {error}", where=where, remedy="Trust no time that is said of it."
        ) from error
    return response.tst_info.gen_time


def read_roots(path: Path) -> list[x509.Certificate]:
    """The certificates in a PEM file. Raises ``InputError``."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"there are no certificates: {error}", where=str(path), remedy="Give the authority's root in PEM."
        ) from error
