"""How much text a log keeps: all of it, a sketch, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from spiritsafe.record.exchange import CONTENT_FIELDS
from spiritsafe.record.keys import secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from spiritsafe.record.exchange import Content, Exchange

_NOTHING = dict.fromkeys(CONTENT_FIELDS)
_ORDER: tuple[Content, ...] = ("none", "sketch", "full")


def reducer(content: Content, data: Path) -> Callable[[Exchange], Exchange]:
    """Return what brings an exchange down to ``content``; one that keeps less already stays as it is.

    The digests in sketches are keyed with the data folder's identity key.
    """
    if content == "full":
        return _same
    if content == "none":
        return without
    from spiritsafe.record.sketch import sketch  # noqa: PLC0415 - the embedding is loaded only to sketch

    key = secret(data / "keys" / "identity.key")

    def sketched(exchange: Exchange) -> Exchange:
        if _ORDER.index(exchange.content) <= _ORDER.index("sketch"):
            return exchange
        return msgspec.structs.replace(exchange, **{**_NOTHING, "sketch": sketch(exchange, key), "content": "sketch"})

    return sketched


def without(exchange: Exchange) -> Exchange:
    """Return the exchange without any of its text."""
    return msgspec.structs.replace(exchange, **_NOTHING, content="none")


def _same(exchange: Exchange) -> Exchange:
    return exchange
