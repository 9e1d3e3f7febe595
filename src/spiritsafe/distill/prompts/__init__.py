"""Prompts written for this project, drawn from rules, so that a recipe can be tried without anybody's data."""

from __future__ import annotations

from random import Random

from spiritsafe.distill.prompts.arithmetic import arithmetic
from spiritsafe.distill.prompts.general import general
from spiritsafe.distill.prompts.sums import sums
from spiritsafe.distill.prompts.types import Generator, Item
from spiritsafe.errors import InputError, UsageError

GENERATORS: dict[str, Generator] = {"arithmetic": arithmetic, "general": general, "sums": sums}
LICENCE = "Apache-2.0"
PATIENCE = 1000


def generate(kind: str, count: int, seed: int) -> list[Item]:
    """``count`` distinct prompts of a kind; fewer with the same seed are the first of these.

    Raises ``UsageError`` for an unknown kind and ``InputError`` if the kind has not so many.
    """
    if kind not in GENERATORS:
        raise UsageError(f"no generator is called {kind!r}", remedy=f"Valid names: {', '.join(GENERATORS)}.")
    found: dict[str, Item] = {}
    idle = 0
    for item in GENERATORS[kind](Random(f"{kind}:{seed}")):  # noqa: S311 (it writes prompts and guards nothing)
        if len(found) == count:
            break
        idle = idle + 1 if item.text in found else 0
        found.setdefault(item.text, item)
        if idle > PATIENCE:
            raise InputError(
                f"the generator {kind!r} has only about {len(found)} prompts, not {count}",
                remedy="Lower the count, or add a file of prompts.",
            )
    return list(found.values())
