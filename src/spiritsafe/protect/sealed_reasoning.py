"""Reasoning that a client may carry and not read: sealed for one account, session, model and turn.

A client that must send a model's earlier reasoning back with the next turn gets it as a blob. The blob opens only
where it came from: for another account, in another session, for another model or at another turn it is noise, so a
ring can't collect blobs over many accounts and have one model read them out. AEAD (ChaCha20-Poly1305, RFC 8439) under
a key derived for each blob from a random salt (HKDF-SHA256, RFC 5869), bound by associated data.
"""

from __future__ import annotations

import base64
import binascii
import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from spiritsafe.errors import Refused

PREFIX = "ssr1."
SALT_BYTES, KEY_BYTES = 24, 32
NONCE = bytes(12)  # the key is used once
PAD = 256


class Binding(msgspec.Struct, frozen=True):
    """Where a blob belongs. ``turn`` counts the model's turns before it in the conversation."""

    account: str
    session: str
    model: str
    turn: int

    @property
    def data(self) -> bytes:
        """Its canonical form, which tells ("a", "bc") from ("ab", "c")."""
        return PREFIX.encode() + msgspec.json.encode((self.account, self.session, self.model, self.turn))


def seal(reasoning: str, root: bytes, binding: Binding) -> str:
    """The blob. Its length tells the reasoning's to within 256 bytes. The same text gives another blob each time."""
    salt = os.urandom(SALT_BYTES)
    text = reasoning.encode("utf-8", "surrogatepass")
    padded = text + b"\x80" + bytes(-(len(text) + 1) % PAD)
    sealed = ChaCha20Poly1305(_key(root, salt)).encrypt(NONCE, padded, binding.data)
    return PREFIX + base64.urlsafe_b64encode(salt + sealed).decode().rstrip("=")


def unseal(blob: str, root: bytes, binding: Binding) -> str:
    """The reasoning. Raises ``Refused`` for a blob of another place, of another key, or changed."""
    try:
        if not blob.startswith(PREFIX):
            raise ValueError("another prefix")
        text = blob.removeprefix(PREFIX)
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if base64.urlsafe_b64encode(raw).decode().rstrip("=") != text:
            raise ValueError("spare bits are set")
        opened = ChaCha20Poly1305(_key(root, raw[:SALT_BYTES])).decrypt(NONCE, raw[SALT_BYTES:], binding.data)
        return opened.rstrip(b"\x00")[:-1].decode("utf-8", "surrogatepass")
    except (InvalidTag, ValueError, binascii.Error) as error:
        raise Refused(
            "this sealed reasoning does not belong here",
            remedy="Send it back unchanged, in the conversation, session and account that it was given to.",
        ) from error


def _key(root: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt, b"spiritsafe-sealed-reasoning-1").derive(root)
