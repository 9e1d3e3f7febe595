"""The exchanges that weigh most in a decision, with what was said in them where the record still keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from spiritsafe.errors import SpiritsafeError
from spiritsafe.record.exchange import prompt_text
from spiritsafe.record.pick import at_rows
from spiritsafe.stats.telling import weightiest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from spiritsafe.record.exchange import Exchange
    from spiritsafe.stats.result import Telling
    from spiritsafe.store.models import Decision

SHOWN = 400
"""Characters of a prompt that are shown."""


class Shown(NamedTuple):
    """One exchange; ``text`` is None where the record keeps none of it any more, or never did."""

    telling: Telling
    by: tuple[str, ...]
    text: str | None


def shown(record: Path, decision: Decision) -> list[Shown]:
    """Those of a decision, the weightiest first."""
    found = weightiest(decision.evidence)
    texts = _texts(record, [one for one, _ in found])
    return [Shown(one, by, texts.get(one.row) if one.row is not None else None) for one, by in found]


def _texts(record: Path, telling: Iterable[Telling]) -> dict[int, str]:
    wanted = {one.row: one.exchange_id for one in telling if one.row is not None}
    try:
        held = at_rows(record, list(wanted)) if wanted else {}
    except SpiritsafeError:  # the page of the record says what is wrong with it; the decision is shown all the same
        return {}
    return {row: text for row, one in held.items() if one.exchange_id == wanted[row] and (text := _words(one))}


def _words(exchange: Exchange) -> str:
    text = prompt_text(exchange) or ""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
