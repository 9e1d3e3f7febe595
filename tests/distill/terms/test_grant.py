from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from spiritsafe.distill.terms.ask import ask
from spiritsafe.distill.terms.grant import PAYLOAD_TYPE, Grant, Scope, open_grant, permit, seal_grant
from spiritsafe.distill.terms.registry import own_registry
from spiritsafe.errors import InputError, Refused
from spiritsafe.record.keys import Signer

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OWNER, STRANGER = Signer(b"\1" * 32), Signer(b"\2" * 32)


def grant(**more):
    fields = {
        "grant_id": "g-1",
        "issuer": "OpenAI",
        "licensee": "Acme",
        "teachers": ("gpt-4o",),
        "purposes": ("student",),
        "issued": NOW,
        "not_before": NOW,
        "expires": NOW + timedelta(days=30),
    }
    return Grant(**{**fields, **more})


def held(**more):
    return open_grant(seal_grant(grant(**more), OWNER), [OWNER.public], where="grant.json")


def asked(name="gpt-4o-mini", purpose="student"):
    return ask(name, own_registry(), purpose=purpose)


def test_a_grant_makes_a_forbidden_teacher_conditional_on_its_scope():
    scope = Scope(max_tokens=5_000_000, max_requests=1000, release=False, conditions=("Name us in the card.",))
    found = permit(asked(), held(scope=scope), now=NOW, where="grant.json")
    assert found.verdict == "conditional"
    assert found.grant == "g-1"
    assert found.reasons[0].startswith("OpenAI permits it to Acme (grant g-1, key ")
    assert "3.3(e)" in found.reasons[1]  # what would forbid it without the grant stays readable
    assert found.conditions == (
        "Only until 2026-12-22, by Acme.",
        "At most 5,000,000 tokens are asked of the teacher.",
        "At most 1,000 requests are made.",
        "The student is not passed on.",
        "Name us in the card.",
    )


def test_a_grant_makes_an_unknown_teacher_conditional():
    found = permit(asked("acme-secret-1"), held(teachers=("acme-secret",)), now=NOW, where="g")
    assert found.verdict == "conditional"


@pytest.mark.parametrize(
    ("change", "name", "purpose", "when", "words"),
    [
        ({}, "claude-3", "student", NOW, "not for claude-3"),
        ({"teachers": ("4o",)}, "gpt-4o", "student", NOW, "not for gpt-4o"),
        ({"teachers": ("", "-")}, "gpt-4o", "student", NOW, "not for gpt-4o"),
        ({}, "gpt-4o", "narrow", NOW, "not for narrow"),
        ({}, "gpt-4o", "student", NOW - timedelta(seconds=1), "holds from 2026-11-22 to 2026-12-22"),
        ({}, "gpt-4o", "student", NOW + timedelta(days=30), "holds from"),
    ],
)
def test_another_teacher_purpose_or_time_is_refused(change, name, purpose, when, words):
    with pytest.raises(Refused, match=words):
        permit(asked(name, purpose), held(**change), now=when, where="grant.json")


def test_a_signature_counts_only_from_a_key_that_is_trusted():
    data = seal_grant(grant(), STRANGER)
    for trusted in ([], [OWNER.public]):
        with pytest.raises(Refused, match=STRANGER.public.fingerprint):
            open_grant(data, trusted, where="grant.json")
    assert open_grant(data, [OWNER.public, STRANGER.public], where="g").key == STRANGER.public.fingerprint


def test_any_changed_byte_of_what_is_signed_is_found():
    envelope = json.loads(seal_grant(grant(), OWNER))
    payload = base64.b64decode(envelope["payload"])
    for i in range(len(payload)):
        changed = payload[:i] + bytes([payload[i] ^ 1]) + payload[i + 1 :]
        envelope["payload"] = base64.b64encode(changed).decode()
        with pytest.raises(Refused, match="no trusted key"):
            open_grant(json.dumps(envelope).encode(), [OWNER.public], where="g")


def test_a_signature_over_the_bare_payload_does_not_pass_for_one_over_type_and_payload():
    envelope = json.loads(seal_grant(grant(), OWNER))
    bare = OWNER.sign(base64.b64decode(envelope["payload"]))
    envelope["signatures"][0]["sig"] = base64.b64encode(bare).decode()
    with pytest.raises(Refused):
        open_grant(json.dumps(envelope).encode(), [OWNER.public], where="g")


def sealed_as(payload, kind=PAYLOAD_TYPE):
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    signature = base64.b64encode(OWNER.sign(signed)).decode()
    return json.dumps(
        {
            "payloadType": kind,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": "", "sig": signature}],
        }
    ).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a grant"),
        (b"{}", "not a grant"),
        (b'{"payloadType": "x", "payload": "***", "signatures": []}', "not a grant"),
        (sealed_as(b"{}", "text/plain"), "holds 'text/plain'"),
        (sealed_as(b"{}"), "missing required field"),
        (sealed_as(msgspec.json.encode(grant()).replace(b'"version":1', b'"version":2')), "version"),
        (sealed_as(msgspec.json.encode(grant())[:-1] + b',"more":1}'), "more"),
    ],
)
def test_what_is_no_grant_is_said_to_be_none(data, words):
    with pytest.raises(InputError, match=words):
        open_grant(data, [OWNER.public], where="grant.json")


def test_the_seal_is_plain_dsse():
    payload = msgspec.json.encode(grant())
    assert open_grant(sealed_as(payload), [OWNER.public], where="g").grant == grant()
