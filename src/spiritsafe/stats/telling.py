"""Of what is telling in several pieces of evidence, what weighs most in all of them together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spiritsafe.stats.result import Evidence, Telling

TOLD = 3


class Weighty(NamedTuple):
    """An exchange with its share of all the evidence, and the names of the tests to which it is telling."""

    telling: Telling
    by: tuple[str, ...]


def weightiest(evidence: Iterable[Evidence], most: int = TOLD) -> tuple[Weighty, ...]:
    """The weightiest first. A piece of evidence divides its orders of magnitude among its exchanges by their shares."""
    pieces = [item for item in evidence if item.telling and item.result.log10_e > 0.0]
    total = sum(item.result.log10_e for item in pieces)
    worth: dict[tuple[object, ...], float] = {}
    first: dict[tuple[object, ...], Telling] = {}
    by: dict[tuple[object, ...], list[str]] = {}
    for item in pieces:
        for one in item.telling:
            key = (one.account_id, one.exchange_id, one.time, one.row, one.text)
            worth[key] = worth.get(key, 0.0) + one.share * item.result.log10_e / total
            first.setdefault(key, one)
            by.setdefault(key, []).append(item.result.name)
    order = sorted(worth, key=lambda key: -worth[key])[:most]
    return tuple(Weighty(msgspec.structs.replace(first[k], share=round(worth[k], 4)), tuple(by[k])) for k in order)
