"""Evidence and reasons as JSON text. Plain JSON has no infinity, and a bet that lost all has log10_e = -inf."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from spiritsafe.stats.result import Evidence
from spiritsafe.store.columns import storable


def pack(value: tuple[Evidence, ...] | tuple[str, ...]) -> str:
    """``value`` as JSON; numbers that are not finite become strings (``"-inf"``)."""
    return msgspec.json.encode(_finite(msgspec.to_builtins(value))).decode()


def unpack_evidence(text: str) -> tuple[Evidence, ...]:
    """What ``pack`` made of evidence, as it was."""
    return msgspec.json.decode(text, type=tuple[Evidence, ...], strict=False)


def unpack_reasons(text: str) -> tuple[str, ...]:
    """What ``pack`` made of reasons, as they were."""
    return msgspec.json.decode(text, type=tuple[str, ...])


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
