"""A small grammar: the prompts that the drill's actors send are drawn from rules written for this project."""

from __future__ import annotations

import math
import re
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SLOT = re.compile(r"\{([a-z_]+)(?::(\d+)-(\d+))?\}")


def seeded(seed: str) -> Random:
    """A generator that depends on ``seed`` alone, the same on every machine and version of Python."""
    return Random(seed)  # noqa: S311 - it writes prompts and guards nothing


class Grammar:
    """Rules from a symbol to its alternatives; ``{symbol}`` inside a text expands to one of them.

    ``{int:2-40}`` expands to a whole number of that range. The rules may not be recursive. Raises
    ``ValueError`` for a slot without a rule, so that a misspelt name is found when a module loads.
    """

    def __init__(self, rules: Mapping[str, Sequence[str]]) -> None:
        self.rules = {name: tuple(texts) for name, texts in rules.items()}
        for name, texts in self.rules.items():
            for slot, low, _ in (m.groups() for text in texts for m in _SLOT.finditer(text)):
                if slot not in self.rules and not (slot == "int" and low is not None):
                    raise ValueError(f"rule {name!r} names {slot!r}, which has no rule")

    def draw(self, rng: Random, symbol: str = "start") -> str:
        """One text derived from ``symbol``; within it, a symbol's alternatives come up twice only when used up."""
        return self._expand(rng, symbol, set())

    def _expand(self, rng: Random, symbol: str, used: set[tuple[str, str]]) -> str:
        fresh = [text for text in self.rules[symbol] if (symbol, text) not in used]
        chosen = rng.choice(fresh or self.rules[symbol])
        used.add((symbol, chosen))

        def slot(match: re.Match[str]) -> str:
            name, low, high = match.groups()
            return str(rng.randint(int(low), int(high))) if low is not None else self._expand(rng, name, used)

        return _SLOT.sub(slot, chosen)

    def narrowed(self, rng: Random, **keep: int) -> Grammar:
        """The same grammar with only ``keep`` of a rule's alternatives: what one person cares about."""
        rules: dict[str, Sequence[str]] = dict(self.rules)
        for name, count in keep.items():
            rules[name] = rng.sample(self.rules[name], min(count, len(self.rules[name])))
        return Grammar(rules)

    def count(self, symbol: str = "start") -> int:
        """How many derivations ``symbol`` has: an upper limit of its distinct texts."""
        return sum(
            math.prod(
                int(high) - int(low) + 1 if low is not None else self.count(name)
                for name, low, high in (m.groups() for m in _SLOT.finditer(text))
            )
            for text in self.rules[symbol]
        )
