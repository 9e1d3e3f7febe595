"""Keys that sign what is handed to strangers: Ed25519, or ECDSA over a NIST curve where other people's tools must
be able to check it (the OpenSSF model-signing tool takes no other).

A private key's file is either the house's own form (``record.keys``: 64 hex digits, Ed25519) or PEM (PKCS #8). A
public key's file is PEM (SubjectPublicKeyInfo), or the one line ``ed25519 <hex>`` that stands beside a record.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.record import keys
from spiritsafe.record.disk import trouble, write_whole

PEM: Final = b"-----BEGIN"
# The hash that goes with a curve, as Sigstore and the OpenSSF layout have it.
CURVES: Final[dict[str, hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


class PublicKey:
    """``kind`` is ``ed25519`` or ``ecdsa-<curve>``. ``pem`` is what its file holds, to the last byte. ``fingerprint``
    (32 hex digits) is what people compare; an Ed25519 key has the same one as in ``record.keys``.
    """

    def __init__(self, key: Ed25519PublicKey | ec.EllipticCurvePublicKey) -> None:
        self._key = key
        self.pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        if isinstance(key, Ed25519PublicKey):
            self.kind = "ed25519"
            self.fingerprint = keys.Public(key).fingerprint
        else:
            self.kind = f"ecdsa-{key.curve.name}"
            der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            self.fingerprint = hashlib.blake2b(der, digest_size=16, person=b"spiritsafe-key-1").hexdigest()

    @classmethod
    def read(cls, data: bytes, where: str) -> PublicKey:
        """The key in a file's bytes; raises ``InputError`` for anything that is not exactly one of the two forms."""
        if not data.startswith(PEM):
            line = keys.Public.from_text(data.decode("ascii", errors="replace"))
            if line is None:
                raise _no_key("public", where)
            return cls(Ed25519PublicKey.from_public_bytes(line.raw))
        try:
            key = load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise _no_key("public", where) from error
        if not isinstance(key, Ed25519PublicKey | ec.EllipticCurvePublicKey):
            raise _no_key("public", where)
        if isinstance(key, ec.EllipticCurvePublicKey):
            _check_curve(key.curve, where)
        return cls(key)

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether the signature over ``data`` was made with this key's private half."""
        try:
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(signature, data)
            else:
                self._key.verify(signature, data, ec.ECDSA(CURVES[self._key.curve.name]))
        except InvalidSignature:
            return False
        return True


class PrivateKey:
    """Signs; ``public`` is the half that others check with."""

    def __init__(self, key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    def sign(self, data: bytes) -> bytes:
        """The signature over ``data``: 64 bytes for Ed25519, DER for ECDSA."""
        if isinstance(self._key, Ed25519PrivateKey):
            return self._key.sign(data)
        return self._key.sign(data, ec.ECDSA(CURVES[self._key.curve.name]))


def read_private(path: Path) -> PrivateKey:
    """The private key in the file at ``path``.

    Raises ``ResourceError`` if it can't be read or others can read it, ``InputError`` if it is no key that signs here.
    """
    try:
        data, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise ResourceError(
            f"the key can't be read: {error.strerror}",
            remedy="Check the path and the right to read it.",
            where=str(path),
        ) from error
    if not data.startswith(PEM):
        return PrivateKey(Ed25519PrivateKey.from_private_bytes(keys.read_secret(path)))
    if stat.S_IMODE(mode) & 0o077:
        raise ResourceError("the key can be read by others", remedy=f"Run: chmod 600 {path}", where=str(path))
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError as error:
        raise InputError(
            "the key is locked with a password",
            remedy="Give a key without one, readable by you alone.",
            where=str(path),
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key("private", str(path)) from error
    if not isinstance(key, Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        raise _no_key("private", str(path))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        _check_curve(key.curve, str(path))
    return PrivateKey(key)


def own_private(path: Path) -> PrivateKey:
    """The key at ``path``; where there is none yet, a fresh one on P-256 is put there, readable by its owner alone."""
    if not path.exists():
        fresh = ec.generate_private_key(ec.SECP256R1())
        pem = fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chmod(path.parent, 0o700)
            write_whole(path, pem, mode=0o600)
        except OSError as error:
            raise trouble(error, path) from error
    return read_private(path)


def _check_curve(curve: ec.EllipticCurve, where: str) -> None:
    if curve.name not in CURVES:
        raise InputError(
            f"keys on the curve {curve.name} are not used here", remedy=f"Use one of {', '.join(CURVES)}.", where=where
        )


def _no_key(half: str, where: str) -> InputError:
    return InputError(
        f"not a {half} key",
        remedy=f"Give an Ed25519 or ECDSA (P-256, P-384, P-521) {half} key in PEM, or the house's own form.",
        where=where,
    )
