"""The OpenSSF model-signing layout: one signed list of every file's digest, beside the model as ``model.sig``.

Signed with an ECDSA key it is what ``model_signing verify key`` (version 1.1.1) accepts: a Sigstore bundle 0.3 around
a DSSE envelope around an in-toto statement of the predicate ``https://model_signing/signature/v1.0``. With Ed25519
the layout is the same, but only ``spiritsafe verify`` checks it.
Source: https://github.com/sigstore/model-transparency, src/model_signing/_signing.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath

import msgspec

from spiritsafe.evidence import dsse, statement
from spiritsafe.evidence.dsse import Envelope, wrong_form
from spiritsafe.evidence.manifest import GIT, Manifest, manifest_of, root_of
from spiritsafe.evidence.signing import PrivateKey, PublicKey

NAME = "model.sig"
PREDICATE = "https://model_signing/signature/v1.0"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IGNORED = (NAME, *GIT)

_DIGEST = re.compile(r"[0-9a-f]{64}")


class _Resource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    algorithm: str
    digest: str
    name: str


class _Serialization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    method: str = "files"
    hash_type: str = "sha256"
    allow_symlinks: bool = False
    ignore_paths: tuple[str, ...] = IGNORED


class _Predicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    serialization: _Serialization
    resources: tuple[_Resource, ...]


class _Hint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hint: str


class _Material(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"public_key": "publicKey", "tlog_entries": "tlogEntries"},
):
    public_key: _Hint
    tlog_entries: tuple[()] = ()


class _Bundle(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"media_type": "mediaType", "material": "verificationMaterial", "envelope": "dsseEnvelope"},
):
    media_type: str
    material: _Material
    envelope: Envelope


class Signed(msgspec.Struct, frozen=True):
    """What a ``model.sig`` says before it is verified. ``hint`` names the key (``hint_of``)."""

    name: str
    manifest: Manifest
    hint: str
    signature: bytes
    signed: bytes

    def by(self, key: PublicKey) -> bool:
        """Whether ``key`` signed it."""
        return key.verifies(self.signature, self.signed)


def hint_of(key: PublicKey) -> str:
    """SHA-256 of the key's PEM: by this the published tool checks that it was given the right key."""
    return hashlib.sha256(key.pem).hexdigest()


def sign(name: str, manifest: Manifest, key: PrivateKey) -> bytes:
    """The ``model.sig`` for a folder called ``name`` that holds what ``manifest`` lists and nothing else."""
    resources = tuple(_Resource("sha256", digest, path) for path, digest in manifest.files.items())
    subject = statement.Subject(name, {"sha256": manifest.root})
    payload = statement.write((subject,), PREDICATE, _Predicate(_Serialization(), resources))
    envelope = dsse.seal(statement.PAYLOAD_TYPE, payload, key.sign, keyid="")
    bundle = _Bundle(BUNDLE, _Material(_Hint(hint_of(key.public))), envelope)
    return msgspec.json.encode(bundle, order="sorted")


def read(data: bytes, where: str) -> Signed:
    """Read what ``sign`` wrote, verifying nothing; raises ``BrokenRecord`` for any other bytes."""
    try:
        bundle = msgspec.json.decode(data, type=_Bundle)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise wrong_form(f"it is no signature of a model: {error}", where) from error
    if msgspec.json.encode(bundle, order="sorted") != data:
        raise wrong_form("it is not in the form in which it is written", where)
    if bundle.media_type != BUNDLE:
        raise wrong_form(f"its form is {bundle.media_type!r}, expected {BUNDLE!r}", where)
    opened = dsse.unpack(bundle.envelope, where)
    said = statement.read(opened.payload, opened.payload_type, where)
    if said.predicate_type != PREDICATE or len(said.subject) != 1:
        raise wrong_form(f"it does not speak of one model as {PREDICATE} does", where)
    predicate = statement.predicate(said, _Predicate, where)
    manifest = _manifest(predicate, where)
    subject = said.subject[0]
    if subject.digest != {"sha256": root_of(r.digest for r in predicate.resources)}:
        raise wrong_form("its files' digests don't add up to the model's", where)
    return Signed(subject.name, manifest, bundle.material.public_key.hint, opened.signature, opened.signed)


def _manifest(predicate: _Predicate, where: str) -> Manifest:
    if predicate.serialization != _Serialization():
        raise wrong_form("it lists files in another way than is known here", where)
    files: dict[str, str] = {}
    for resource in predicate.resources:
        path = PurePosixPath(resource.name)
        plain = str(path) == resource.name and not path.is_absolute() and ".." not in path.parts
        if resource.algorithm != "sha256" or not _DIGEST.fullmatch(resource.digest) or not plain:
            raise wrong_form(f"it lists {resource.name!r} in a way that is not known here", where)
        if resource.name in files:
            raise wrong_form(f"it lists {resource.name!r} twice", where)
        files[resource.name] = resource.digest
    return manifest_of(files)
