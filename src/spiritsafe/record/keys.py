"""Secret files, and signing with Ed25519 (RFC 8032)."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.record.disk import sync_folder, trouble, write_all

if TYPE_CHECKING:
    from pathlib import Path

SECRET_BYTES = 32


def secret(path: Path) -> bytes:
    """Read 32 secret bytes (stored as hexadecimal), creating them the first time, readable by the owner alone.

    Raises ResourceError when others may read the file or it can't be created, InputError when damaged.
    """
    if not path.exists():
        try:
            _create(path)
        except OSError as error:
            raise trouble(error, path) from error
    return read_secret(path)


def read_secret(path: Path) -> bytes:
    """Read a secret that must exist."""
    try:
        text, mode = path.read_text(encoding="ascii").strip(), path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ResourceError(
            f"the key can't be read: {error}",
            remedy="Restore it from a backup, or give the right to read it",
            where=str(path),
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise ResourceError("the key can be read by others", remedy=f"Run: chmod 600 {path}", where=str(path))
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != SECRET_BYTES:
        raise InputError("the key is damaged", remedy="Restore it from a backup", where=str(path))
    return value


class Signer:
    """Signs with one private key; ``public`` is its public half."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = Public(self._key.public_key())

    def sign(self, data: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._key.sign(data)


class Public:
    """A public key; ``fingerprint`` (32 hexadecimal digits) is what people compare."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.fingerprint = hashlib.blake2b(self.raw, digest_size=16, person=b"spiritsafe-key-1").hexdigest()

    @classmethod
    def from_text(cls, text: str) -> Public | None:
        """Read what ``text`` writes; None for anything else, down to the last byte."""
        name, _, value = text.partition(" ")
        try:
            found = cls(Ed25519PublicKey.from_public_bytes(bytes.fromhex(value.strip())))
        except ValueError:
            return None
        return found if name == "ed25519" and found.text == text else None

    @property
    def text(self) -> str:
        """The key as one line of text, the form in which it is stored beside the log."""
        return f"ed25519 {self.raw.hex()}\n"

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Say whether the signature over ``data`` was made with this key's private half."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd, aside = tempfile.mkstemp(dir=path.parent)  # readable by the owner alone
    try:
        write_all(fd, os.urandom(SECRET_BYTES).hex().encode() + b"\n", 0)
        os.fsync(fd)
        os.link(aside, path)
    except FileExistsError:
        pass  # another process was first; its key is as good
    finally:
        os.close(fd)
        os.unlink(aside)
    sync_folder(path.parent)
