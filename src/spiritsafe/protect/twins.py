"""Twins: for a drawn share of requests the teacher answers twice, and a committed coin says which answer is served.

What makes a twin worth something in court is the coin alone. Both answers are drawn independently from the same
teacher for the same request, in numbered slots, and which slot is served is ``coin(key, id)``: a keyed hash of the
exchange's id under a secret whose commitment was published before. The coin is there before either answer exists, so
given the two answers it is still a fair coin, independent of them and of every model that never saw which was served.
Nothing else may have a say in it: a request that was hedged, retried or raced is no twin, for there latency chose;
and an answer whose client left is drawn to its end all the same, for there length would choose.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from spiritsafe.errors import InputError
from spiritsafe.lines import read_lines
from spiritsafe.record.exchange import Exchange, message_text

SCHEME = "twins-1:hmac-sha256"
KEY_BYTES = 32
Slot = Literal[0, 1]
SLOTS: tuple[Slot, Slot] = (0, 1)


HOUSE = "spiritsafe"
"""The account that commitments are written under."""


class Committed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was committed to, and when the log says so."""

    epoch: str
    digest: str
    time: datetime


class Pair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two answers to one request, by slot; which of them was served, only the key tells. ``pair_id`` is the id of the
    served exchange, ``tenant`` whom it went to, ``messages`` the turns that were answered, as ``role`` and
    ``content``.
    """

    pair_id: str
    time: datetime
    epoch: str
    messages: tuple[dict[str, str], ...]
    answers: tuple[str, str]
    tenant: str = ""


def epoch_of(time: datetime) -> str:
    """The epoch a time falls into: its month in UTC. A key that was shown to anybody ends with its epoch."""
    return f"{time.astimezone(UTC):%Y-%m}"


def epoch_key(root: bytes, epoch: str) -> bytes:
    """The secret of one epoch; knowing it tells nothing of another's."""
    return _mac(_checked(root), "epoch", epoch)


def commitment(key: bytes, epoch: str) -> str:
    """What is published before the epoch's first pair: SHA-256 in hex, binding and telling nothing of the key."""
    return hashlib.sha256(b"spiritsafe-twins-1:commitment:" + epoch.encode() + b":" + _checked(key)).hexdigest()


def is_drawn(key: bytes, exchange_id: str, share: float) -> bool:
    """Whether this request is answered twice; ``share`` of all are."""
    return int.from_bytes(_mac(key, "drawn", exchange_id)[:8]) < share * 2.0**64


def coin(key: bytes, exchange_id: str) -> Slot:
    """Which slot's answer is served: a fair coin for whoever has no key."""
    return SLOTS[_mac(key, "coin", exchange_id)[0] & 1]


def withheld(key: bytes, exchange_id: str) -> Slot:
    """The other slot."""
    return SLOTS[1 - coin(key, exchange_id)]


def served_text(pair: Pair, key: bytes) -> str:
    """The answer that left."""
    return pair.answers[coin(key, pair.pair_id)]


def exchanges_of(served: Exchange, answers: tuple[str, str], tokens: tuple[int | None, int | None]) -> list[Exchange]:
    """A pair as it is kept: one exchange a slot, each the ``twin_of`` the served one, neither saying which it is."""
    return [
        msgspec.structs.replace(
            served,
            exchange_id=f"{served.exchange_id}.{slot}",
            twin_of=served.exchange_id,
            completion=answers[slot],
            completion_tokens=tokens[slot],
            extra={"slot": slot, "epoch": epoch_of(served.time), "scheme": SCHEME},
        )
        for slot in SLOTS
    ]


def commitment_row(key: bytes, epoch: str, time: datetime) -> Exchange:
    """The commitment to an epoch's key as a row of the pairs' own log: the chain shows that it came before them."""
    return Exchange(
        exchange_id=f"commitment.{epoch}.{time:%Y%m%dT%H%M%S}",
        time=time,
        account_id=HOUSE,
        content="none",
        extra={"commitment": commitment(key, epoch), "epoch": epoch, "scheme": SCHEME},
    )


def commitments_in(exchanges: Iterable[Exchange]) -> dict[str, Committed]:
    """The earliest commitment of each epoch among a log's rows."""
    found: dict[str, Committed] = {}
    for exchange in exchanges:
        digest, epoch = exchange.extra.get("commitment"), exchange.extra.get("epoch")
        if exchange.account_id == HOUSE and isinstance(digest, str) and isinstance(epoch, str):
            found.setdefault(epoch, Committed(epoch=epoch, digest=digest, time=exchange.time))
    return found


def pairs_in(exchanges: Iterable[Exchange]) -> Iterator[Pair]:
    """The pairs among exchanges that ``exchanges_of`` made, in their order; a slot whose other is missing is none."""
    waiting: dict[str, Exchange] = {}
    for exchange in exchanges:
        name, slot = exchange.twin_of, exchange.extra.get("slot")
        if name is None or slot not in SLOTS or exchange.completion is None:
            continue
        other = waiting.pop(name, None)
        if other is None:
            waiting[name] = exchange
            continue
        both = {other.extra["slot"]: other, slot: exchange}
        if len(both) == len(SLOTS):
            yield _pair(both[0], both[1])


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write pairs as JSON lines."""
    path.write_bytes(lines_of(pairs))


def lines_of(pairs: Iterable[Pair]) -> bytes:
    """Pairs as JSON lines."""
    return b"".join(msgspec.json.encode(pair, order="sorted") + b"\n" for pair in pairs)


def read_pairs(path: Path) -> list[Pair]:
    """Pairs from JSON lines. Raises ``InputError`` naming the line that is none, or a ``pair_id`` that comes twice."""
    found: dict[str, Pair] = {}
    remedy = "A line holds pair_id, time, epoch, messages and answers (two texts, by slot)."
    for where, pair in read_lines(path, Pair, what="pair", remedy=remedy):
        if pair.pair_id in found:
            raise InputError(f"{pair.pair_id!r} comes twice", where=where, remedy="Give each its own id.")
        found[pair.pair_id] = pair
    return list(found.values())


def choose(texts: Mapping[str, tuple[str, str]], key: bytes) -> dict[str, str]:
    """For a rights holder: which of two versions of each text to publish. Commit to the key first, publish only these,
    and keep the others to yourself.

    Neither version may be the better one by a rule: the coin chooses, or there is no null.
    """
    return {name: versions[coin(key, name)] for name, versions in texts.items()}


def turns_of(exchange: Exchange) -> tuple[dict[str, str], ...]:
    """The turns that were answered, the system's first, as ``role`` and ``content``."""
    system = ({"role": "system", "content": exchange.system},) if exchange.system else ()
    return (*system, *({"role": m.role, "content": message_text(m)} for m in exchange.messages or ()))


def _pair(first: Exchange, second: Exchange) -> Pair:
    return Pair(
        pair_id=first.twin_of or "",
        time=first.time,
        epoch=str(first.extra.get("epoch", epoch_of(first.time))),
        messages=turns_of(first),
        answers=(first.completion or "", second.completion or ""),
        tenant=first.account_id,
    )


def _mac(key: bytes, purpose: str, text: str) -> bytes:
    return hmac.digest(key, f"spiritsafe-twins-1:{purpose}:{text}".encode(), "sha256")


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise InputError(f"a key has {KEY_BYTES} bytes, not {len(key)}", remedy="Restore it from a backup.")
    return key
