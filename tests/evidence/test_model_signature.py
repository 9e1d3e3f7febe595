from __future__ import annotations

import base64
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import BrokenRecord
from spiritsafe.evidence import dsse, model_signature, statement
from spiritsafe.evidence.manifest import manifest_of, read_folder
from spiritsafe.evidence.signing import PrivateKey

EC = PrivateKey(ec.generate_private_key(ec.SECP256R1()))
ED = PrivateKey(Ed25519PrivateKey.generate())
FILES = manifest_of({"a/b": "11" * 32, "a.b": "22" * 32})


def model(folder: Path) -> Path:
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "one.bin").write_bytes(b"1")
    (folder / "weights.json").write_bytes(b"{}")
    (folder / "a name with spaces é.txt").write_bytes(b"")
    (folder / ".gitattributes").write_bytes(b"* text")
    return folder


def published(folder: Path, public: Path) -> subprocess.CompletedProcess[str]:
    """Verify with the OpenSSF tool itself."""
    missing = [name for name in ("model_signing", "OpenSSL") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"the published model-signing tool can't run: {', '.join(missing)} is not installed")
    command = [sys.executable, "-W", "ignore", "-m", "model_signing", "verify", "key", str(folder)]
    options = ["--signature", str(folder / model_signature.NAME), "--public_key", str(public)]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


def test_the_published_tool_accepts_what_an_ecdsa_key_signed_and_sees_every_change(tmp_path: Path) -> None:
    folder, public = model(tmp_path / "student"), tmp_path / "key.pem"
    public.write_bytes(EC.public.pem)
    files = read_folder(folder, ignore=model_signature.IGNORED)
    (folder / model_signature.NAME).write_bytes(model_signature.sign("student", files, EC))
    done = published(folder, public)
    assert (done.returncode, done.stdout.strip()) == (0, "Verification succeeded"), done.stderr
    (folder / "weights" / "one.bin").write_bytes(b"2")
    done = published(folder, public)
    assert done.returncode == 1
    assert "Hash mismatch for 'weights/one.bin'" in done.stderr


@pytest.mark.parametrize("key", [EC, ED], ids=["ecdsa", "ed25519"])
def test_it_is_read_as_it_was_signed(key: PrivateKey) -> None:
    signed = model_signature.read(model_signature.sign("student", FILES, key), "model.sig")
    assert (signed.name, signed.manifest) == ("student", FILES)
    assert signed.hint == model_signature.hint_of(key.public)
    assert signed.by(key.public)
    assert not signed.by(ED.public if key is EC else EC.public)


WHOLE = model_signature.sign("student", FILES, EC)


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_no_other_bytes_pass(at: int, flip: int) -> None:
    changed = WHOLE[:at] + bytes([WHOLE[at] ^ flip]) + WHOLE[at + 1 :]
    try:
        signed = model_signature.read(changed, "model.sig")
    except BrokenRecord:
        return
    named = signed.hint == model_signature.hint_of(EC.public)
    # keyid is empty by the layout: a hint that nobody reads and that is no part of what is signed.
    empty = json.loads(changed)["dsseEnvelope"]["signatures"][0]["keyid"] == ""
    assert not (signed.by(EC.public) and named and empty)


def rewritten(change: Any) -> bytes:
    """A ``model.sig`` whose statement was changed and signed again: right in form and signature, not in sense."""
    bundle = json.loads(WHOLE)
    said = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    change(said)
    payload = msgspec.json.encode(said, order="sorted")
    bundle["dsseEnvelope"] = msgspec.to_builtins(dsse.seal(statement.PAYLOAD_TYPE, payload, EC.sign, ""))
    return msgspec.json.encode(bundle, order="sorted")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["predicate"]["resources"].pop(), "don't add up"),
        (lambda s: s["predicate"]["resources"].append(s["predicate"]["resources"][0]), "twice"),
        (lambda s: s["predicate"]["resources"][0].update(name="../b"), "a way that is not known"),
        (lambda s: s["predicate"]["resources"][0].update(name="/b"), "a way that is not known"),
        (lambda s: s["predicate"]["resources"][0].update(name="a//b"), "a way that is not known"),
        (lambda s: s["predicate"]["resources"][0].update(algorithm="md5"), "a way that is not known"),
        (lambda s: s["predicate"]["resources"][0].update(digest="0"), "a way that is not known"),
        (lambda s: s["predicate"]["serialization"].update(method="shards"), "another way"),
        (lambda s: s["predicate"]["serialization"].update(ignore_paths=["weights"]), "another way"),
        (lambda s: s.update(predicateType="https://example/other"), "one model"),
        (lambda s: s["subject"].append(s["subject"][0]), "one model"),
    ],
)
def test_what_makes_no_sense_is_refused_however_it_is_signed(change: Any, message: str) -> None:
    with pytest.raises(BrokenRecord, match=message):
        model_signature.read(rewritten(change), "model.sig")


def test_another_bundle_is_refused() -> None:
    with pytest.raises(BrokenRecord, match="its form is"):
        model_signature.read(WHOLE.replace(b"bundle.v0.3", b"bundle.v0.9"), "model.sig")
    with pytest.raises(BrokenRecord, match="no signature of a model"):
        model_signature.read(b"{}", "model.sig")
