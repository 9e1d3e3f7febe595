from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import BrokenRecord, InputError
from spiritsafe.evidence import dsse, lineage, statement
from spiritsafe.evidence.manifest import manifest_of
from spiritsafe.evidence.signing import PrivateKey

KEYS = {
    "ecdsa": PrivateKey(ec.generate_private_key(ec.SECP256R1())),
    "ed25519": PrivateKey(Ed25519PrivateKey.generate()),
}
KEY = KEYS["ed25519"]
DAY = datetime(2026, 11, 22, 7, tzinfo=UTC)
FILES = manifest_of({"model.safetensors": "11" * 32, "README.md": "22" * 32})
LINEAGE = lineage.Lineage(
    name="student",
    made=DAY,
    teacher=lineage.Teacher(
        name="a teacher",
        source="openai:https://example.com/v1#a",
        sha256=None,
        purpose="student",
        verdict="conditional",
        reasons=("its terms say so",),
        conditions=("name it",),
        terms=(lineage.Terms(terms="t", name="T", verdict="forbidden", document="T 1.0", url=None, read=DAY.date()),),
        verified=True,
        checked=DAY,
        grant=lineage.Grant(grant_id="g", issuer="owner", licensee="us", expires=DAY, sha256="33" * 32, key="44" * 16),
    ),
    prompts=(lineage.Prompts(file="p.jsonl", licence=None, acknowledged_by="A. Person"),),
    record=lineage.Head(log="55", rows=3, link="66", key="77"),
    answers={"rows.parquet": "88" * 32},
    curated={"curated.parquet": "99" * 32},
    stages=(lineage.Stage(stage="train", manifest="aa" * 32, code="spiritsafe 0"),),
    code="spiritsafe 0",
    recipe="bb" * 32,
    weights={"model.safetensors": "11" * 32},
    claims=(lineage.Claim(name="retention", value=0.9, unit="", interval=(0.8, 1.0), basis="bootstrap"),),
    signer=lineage.Signer(key=KEY.public.fingerprint, origin="own"),
)
WHOLE = lineage.sign(LINEAGE, FILES, KEY)


@pytest.mark.parametrize("kind", KEYS)
def test_a_lineage_is_read_as_it_was_signed(kind: str) -> None:
    key = KEYS[kind]
    signed = lineage.read(lineage.sign(LINEAGE, FILES, key), lineage.NAME)
    assert (signed.lineage, signed.files, signed.keyid) == (LINEAGE, FILES, key.public.fingerprint)
    assert [k for k, other in KEYS.items() if signed.by(other.public)] == [kind]


def test_it_is_an_in_toto_statement_about_every_file() -> None:
    said = json.loads(base64.b64decode(json.loads(WHOLE)["payload"]))
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["predicateType"] == "https://spiritsafe/lineage/v1"
    assert {s["name"]: s["digest"]["sha256"] for s in said["subject"]} == FILES.files


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_no_other_bytes_pass(at: int, flip: int) -> None:
    changed = WHOLE[:at] + bytes([WHOLE[at] ^ flip]) + WHOLE[at + 1 :]
    try:
        signed = lineage.read(changed, lineage.NAME)
    except (BrokenRecord, InputError):
        return
    assert not signed.by(KEY.public) or signed.keyid != KEY.public.fingerprint


def rewritten(change: Any) -> bytes:
    said = json.loads(base64.b64decode(json.loads(WHOLE)["payload"]))
    change(said)
    payload = msgspec.json.encode(said, order="sorted")
    return dsse.encode(dsse.seal(statement.PAYLOAD_TYPE, payload, KEY.sign, KEY.public.fingerprint))


def test_a_newer_version_asks_for_a_newer_program() -> None:
    with pytest.raises(InputError, match="version 2, this program reads 1"):
        lineage.read(rewritten(lambda s: s.update(predicateType="https://spiritsafe/lineage/v2")), lineage.NAME)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"), "slsa.dev"),
        (lambda s: s.update(predicateType="https://spiritsafe/lineage/v01"), "lineage/v01"),
        (lambda s: s["predicate"].update(version=2), "not in the form"),
        (lambda s: s["predicate"].update(more=1), "can't be read"),
        (lambda s: s["predicate"]["teacher"].pop("verdict"), "can't be read"),
        (lambda s: s["subject"].append(s["subject"][0]), "not in the form"),
    ],
)
def test_what_is_no_lineage_is_refused_however_it_is_signed(change: Any, message: str) -> None:
    with pytest.raises(BrokenRecord, match=message):
        lineage.read(rewritten(change), lineage.NAME)
