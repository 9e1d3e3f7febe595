"""Sharing what a case found with other providers: STIX 2.1, techniques by their MITRE ATLAS ids.

Identifiers leave as HMAC-SHA256 under a key that the providers share: who holds the key can look for their own
accounts among them, and learns nothing of the others. Without the key they are noise. Source: OASIS STIX 2.1;
https://atlas.mitre.org.
"""

from __future__ import annotations

import hmac
import unicodedata
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from spiritsafe.errors import InputError

Json = dict[str, Any]
SPACE = uuid.UUID("6c0d2f7e-3f57-5f0e-9d3a-4f1d2b7a9e11")
SHORTEST_KEY = 16

TECHNIQUES = (
    ("AML.T0024.002", "Extract AI Model"),
    ("AML.T0005.001", "Train Proxy via Replication"),
    ("AML.T0008.005", "AI Service Proxies"),
)


class Identifier(msgspec.Struct, frozen=True):
    """Something that tells who it was: ``kind`` is ``account``, ``email``, ``payment``, ``network`` and so on."""

    kind: str
    value: str


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What is shared of a case. ``facts`` are sentences; nothing in them may name a person."""

    provider: str
    case_id: str
    subject: str
    opened: datetime
    made: datetime
    identifiers: tuple[Identifier, ...]
    facts: tuple[str, ...] = ()


def hashed(identifier: Identifier, key: bytes) -> str:
    """An identifier as it is shared: the same for the same key, kind and value, whatever its case and spacing.

    Raises ``InputError`` for a key that could be guessed.
    """
    if len(key) < SHORTEST_KEY:
        raise InputError(
            f"the shared key has {len(key)} bytes", remedy=f"Agree on one of {SHORTEST_KEY} random bytes or more."
        )
    value = unicodedata.normalize("NFKC", identifier.value).strip().casefold()
    return hmac.digest(key, f"spiritsafe-share-1:{identifier.kind}:{value}".encode(), "sha256").hex()


def bundle(shared: Shared, key: bytes) -> Json:
    """A STIX bundle; the same case gives the same ids, so that a later export takes the place of an earlier one."""
    provider = _object("identity", shared, shared.provider, name=shared.provider, identity_class="organization")
    by = {"created_by_ref": provider["id"]}
    campaign = _object(
        "campaign",
        shared,
        shared.case_id,
        name=f"Extraction of a model, case {shared.case_id}",
        description=" ".join(shared.facts) or "Coordinated extraction of a model's answers.",
        first_seen=_time(shared.opened),
        **by,
    )
    patterns = [_technique(shared, number, name, by) for number, name in TECHNIQUES]
    indicators = [_indicator(shared, one, hashed(one, key), by) for one in _distinct(shared.identifiers)]
    links = [_link(shared, campaign, "uses", pattern, by) for pattern in patterns]
    links += [_link(shared, indicator, "indicates", campaign, by) for indicator in indicators]
    told = [provider, campaign, *patterns, *indicators, *links]
    report = _object(
        "report",
        shared,
        f"report:{shared.case_id}",
        name=f"Case {shared.case_id}",
        description="Identifiers are keyed hashes; a match shows the same account, and is no proof of its intent.",
        report_types=["campaign"],
        published=_time(shared.made),
        object_refs=[one["id"] for one in told],
        **by,
    )
    return {"type": "bundle", "id": f"bundle--{_id(shared, 'bundle')}", "objects": [*told, report]}


def _technique(shared: Shared, number: str, name: str, by: Json) -> Json:
    where = {"source_name": "mitre-atlas", "external_id": number, "url": f"https://atlas.mitre.org/techniques/{number}"}
    return _object("attack-pattern", shared, number, name=name, external_references=[where], **by)


def _indicator(shared: Shared, identifier: Identifier, digest: str, by: Json) -> Json:
    return _object(
        "indicator",
        shared,
        f"{identifier.kind}:{digest}",
        name=f"{identifier.kind} that took part, keyed hash",
        indicator_types=["malicious-activity"],
        pattern=f"[x-spiritsafe-{_word(identifier.kind)}:hmac_sha256 = '{digest}']",
        pattern_type="stix",
        valid_from=_time(shared.opened),
        **by,
    )


def _link(shared: Shared, source: Json, kind: str, target: Json, by: Json) -> Json:
    ends = {"relationship_type": kind, "source_ref": source["id"], "target_ref": target["id"]}
    return _object("relationship", shared, f"{source['id']}:{kind}:{target['id']}", **ends, **by)


def _object(kind: str, shared: Shared, of: str, /, **fields: Any) -> Json:
    head = {"type": kind, "spec_version": "2.1", "id": f"{kind}--{_id(shared, f'{kind}:{of}')}"}
    return {**head, "created": _time(shared.opened), "modified": _time(shared.made), **fields}


def _id(shared: Shared, name: str) -> uuid.UUID:
    return uuid.uuid5(SPACE, f"{shared.provider}:{shared.case_id}:{name}")


def _distinct(identifiers: Sequence[Identifier]) -> list[Identifier]:
    return sorted(set(identifiers), key=lambda one: (one.kind, one.value))


def _word(kind: str) -> str:
    if not kind.isascii() or not kind.replace("-", "").isalnum() or len(kind) > 40:
        raise InputError(f"{kind!r} is no kind of identifier", remedy="Use a short word: account, email, payment.")
    return kind.lower()


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"
