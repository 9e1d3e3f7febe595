"""Names for new things, and the secrets of API keys.

A key reads ``ssk_<prefix>_<secret>``: eight characters that are stored and shown, then 32 drawn from 32
(160 random bits) that are not. What is stored is plain SHA-256 of the whole. A slow or salted hash guards
passwords, which can be guessed; of 2**160 equally likely secrets a thief of the table can try no share worth
naming, at any speed, and the gateway must look up each new key without spending milliseconds on it. For the
same reason the lookup by hash needs no constant-time comparison: nobody can choose what a guess hashes to.
"""

from __future__ import annotations

import hashlib
import re
import secrets

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"  # base32 in lower case: nothing in it is mistaken for another
_SHAPE = re.compile(rf"ssk_[{_ALPHABET}]{{8}}_[{_ALPHABET}]{{32}}", re.ASCII)


def _draw(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_id(kind: str) -> str:
    """A fresh identifier such as ``dec_k5x...`` with 65 random bits; ``kind`` is its readable start."""
    return f"{kind}_{_draw(13)}"


def new_secret() -> tuple[str, str]:
    """The prefix to store and show, and the whole secret to hand out once."""
    prefix = f"ssk_{_draw(8)}"
    return prefix, f"{prefix}_{_draw(32)}"


def hash_secret(secret: str) -> bytes:
    """What ``Key.hash`` holds for ``secret``: its SHA-256."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def is_secret(text: str) -> bool:
    """Whether ``text`` has a key's shape; what has not needs no lookup."""
    return _SHAPE.fullmatch(text) is not None
