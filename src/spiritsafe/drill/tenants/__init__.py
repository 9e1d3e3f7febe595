"""Honest tenants. One file a kind, one line here."""

from __future__ import annotations

from spiritsafe.drill.tenants import agent, coder, evaluation, person, student, support, translator
from spiritsafe.drill.tenants.types import Ask, Kind

KINDS: dict[str, Kind] = {
    module.KIND.name: module.KIND for module in (person, coder, student, support, translator, evaluation, agent)
}

__all__ = ["KINDS", "Ask", "Kind"]
