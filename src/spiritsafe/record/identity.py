"""Pseudonyms: people and networks are stored as keyed hashes, so that equal ones meet and none can be read.

``of(kind, value)`` is the first 128 bits of BLAKE2b keyed with 32 secret bytes, with the kind as its
personalisation, so that one string used as two kinds gives two unrelated pseudonyms. Without the key
nobody can test a guess; with it the holder can, which is what an investigation needs.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
from typing import TYPE_CHECKING

from spiritsafe.errors import InputError
from spiritsafe.record.keys import secret

if TYPE_CHECKING:
    from pathlib import Path

NAME = "pseudonym-1:blake2b-128:keyed"
CACHED = 65_536


class Pseudonymizer:
    """Gives pseudonyms under one key; remembers the last 65,536, since it is on every request's path."""

    def __init__(self, key: bytes) -> None:
        if not 16 <= len(key) <= 64:
            raise InputError("a pseudonym key has 16 to 64 bytes", remedy="Let spiritsafe create it")
        self._of = functools.lru_cache(CACHED)(functools.partial(_pseudonym, key))
        self._prefix = functools.lru_cache(CACHED)(ip_prefix)

    def of(self, kind: str, value: str) -> str:
        """Return the pseudonym of ``value`` as ``kind`` (1 to 16 bytes), 32 hexadecimal digits."""
        return self._of(kind, value)

    def of_address(self, address: str) -> str | None:
        """Return the pseudonym of the network an IP address lies in, None for what is not an address."""
        prefix = self._prefix(address)
        return None if prefix is None else self._of("ip_prefix", prefix)


def ip_prefix(address: str) -> str | None:
    """Cut an address to its network: /24 for IPv4 (also inside IPv6), /48 for IPv6; None for anything else."""
    text = address.strip().strip("[]").split("%", 1)[0]
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    bits = 24 if parsed.version == 4 else 48
    return str(ipaddress.ip_network((parsed, bits), strict=False))


def open_identity(data: Path) -> Pseudonymizer:
    """Open the pseudonyms of a data folder; the key is created the first time (``keys/identity.key``, 0600)."""
    return Pseudonymizer(secret(data / "keys" / "identity.key"))


def _pseudonym(key: bytes, kind: str, value: str) -> str:
    person = kind.encode()
    if not 0 < len(person) <= hashlib.blake2b.PERSON_SIZE:
        raise InputError(f"a kind of pseudonym has 1 to 16 bytes, got {kind!r}", remedy="Use a short word")
    data = value.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16, key=key, person=person).hexdigest()
