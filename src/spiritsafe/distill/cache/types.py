"""What a cache is of, and what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec
import numpy as np

VERSION = 1
MANIFEST = "manifest.json"
SPEC = "spec.json"

MOST_ROUNDS = 64  # six bits hold a count
NARROW = 1 << 18  # token ids below this take 18 bits, and an entry of a sample 3 bytes
WIDEST = 1 << 24


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What is cached: fixed before the first row, and the same in every part.

    ``kind`` topk keeps the ``k`` likeliest tokens (all, if there are fewer); sampled keeps a systematic sample of at
    most ``rounds`` draws of which about ``distinct`` differ. ``tokenizer`` is ``tokenizer_digest``. All that changes
    a stored byte is here.
    """

    version: int = VERSION
    kind: Literal["topk", "sampled"]
    teacher: str
    tokenizer: str
    vocabulary: int
    temperature: float = 1.0
    k: int = 64
    rounds: int = MOST_ROUNDS
    distinct: float = 11.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.vocabulary <= WIDEST:
            raise ValueError(f"vocabulary is {self.vocabulary}: ids have at most 24 bits")
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}: it is above 0")
        if not 1 <= self.rounds <= MOST_ROUNDS:
            raise ValueError(f"rounds is {self.rounds}: it is 1 to {MOST_ROUNDS}")
        if not self.distinct >= 1:
            raise ValueError(f"distinct is {self.distinct}: it is at least 1")
        if self.k < 1:
            raise ValueError(f"k is {self.k}: it is at least 1")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its rows, the positions in them, its size and the BLAKE2b-256 of its bytes in hex."""

    file: str
    rows: int
    positions: int
    bytes: int
    digest: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Written last: where it stands, the cache is whole."""

    spec: Spec
    parts: tuple[Part, ...]

    @property
    def positions(self) -> int:
        """How many answer tokens have a distribution."""
        return sum(p.positions for p in self.parts)

    @property
    def bytes_per_position(self) -> float:
        """All that lies on disk for one answer token, keys and digests counted in."""
        return sum(p.bytes for p in self.parts) / max(1, self.positions)


class Tokens(Protocol):
    """A row in tokens: ``key`` names it, ``ids`` are all its tokens, the answer's begin at ``start``."""

    @property
    def key(self) -> str: ...

    @property
    def ids(self) -> Sequence[int]: ...

    @property
    def start(self) -> int: ...


def tokenizer_digest(vocabulary: Mapping[str, int]) -> str:
    """BLAKE2b-256, in hex, of every token with its number: equal means that an id names the same token."""
    total = hashlib.blake2b(digest_size=32, person=b"spiritsafe-vocab")
    for token, number in sorted(vocabulary.items(), key=lambda item: (item[1], item[0])):
        total.update(f"{number} {len(token.encode('utf-8', 'surrogatepass'))} ".encode())
        total.update(token.encode("utf-8", "surrogatepass"))
    return total.hexdigest()


def tokens_digest(row: Tokens) -> bytes:
    """16 bytes that differ if a token or the answer's beginning differs."""
    data = np.asarray([row.start, *row.ids], dtype="<i4").tobytes()
    return hashlib.blake2b(data, digest_size=16, person=b"spiritsafe-token").digest()
