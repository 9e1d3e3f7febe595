"""Evidence and reasons as JSON text, kept whole: nobody searches inside them."""

from __future__ import annotations

from typing import Any

import msgspec

from spiritsafe.stats.result import Evidence
from spiritsafe.store.columns import storable


def pack(value: tuple[Evidence, ...] | tuple[str, ...]) -> str:
    """``value`` as JSON; text that quotes traffic is made storable first, or it could not be encoded."""
    return msgspec.json.encode(_storable(msgspec.to_builtins(value))).decode()


def unpack_evidence(text: str) -> tuple[Evidence, ...]:
    """What ``pack`` made of evidence, as it was."""
    return msgspec.json.decode(text, type=tuple[Evidence, ...])


def unpack_reasons(text: str) -> tuple[str, ...]:
    """What ``pack`` made of reasons, as they were."""
    return msgspec.json.decode(text, type=tuple[str, ...])


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {name: _storable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(item) for item in value]
    return value
