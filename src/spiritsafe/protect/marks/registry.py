"""Marks by name, which holds every parameter: ``kgw-k1-g0.25-d2``, ``gumbel-k2``, ``tournament-m30-k2``.

Other packages add schemes by an entry point of the group ``spiritsafe.marks``: its name is the scheme, the first part
of a mark's name, and it names a function from the rest of the name to a ``Mark`` (ValueError if that means nothing).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import entry_points

from spiritsafe.errors import UsageError
from spiritsafe.protect.marks.choice import Choice
from spiritsafe.protect.marks.gumbel import Gumbel
from spiritsafe.protect.marks.kgw import LEVELS, Kgw
from spiritsafe.protect.marks.tournament import Tournament
from spiritsafe.protect.marks.traced import LONGEST_CODE, SHORTEST_CODE, Traced
from spiritsafe.protect.marks.types import Mark

GROUP = "spiritsafe.marks"
LONGEST_CONTEXT = 8

Parser = Callable[[str], Mark]

_NUMBER = r"(\d+(?:\.\d+)?)"


def mark(name: str) -> Mark:
    """The mark of that name. Raises ``UsageError`` for a name that means nothing, with the forms that do."""
    scheme, _, rest = name.partition("-")
    parser = _parsers().get(scheme)
    try:
        if parser is None:
            raise ValueError(f"there is no scheme {scheme!r}")
        return parser(rest)
    except ValueError as error:
        raise UsageError(f"{name!r} is no mark: {error}", remedy=f"Write one like {', '.join(EXAMPLES)}.") from error


def _kgw(rest: str) -> Kgw:
    k, gamma, delta = _numbers(rest, "k", "g", "d")
    greens = gamma * LEVELS
    if greens != int(greens) or not 0 < greens < LEVELS:
        raise ValueError(f"g is a multiple of 1/{LEVELS} between 0 and 1, not {gamma:g}")
    if not 0 < delta <= 20:
        raise ValueError(f"d lies in (0, 20], not {delta:g}")
    return Kgw(_context(k), int(greens), delta)


def _gumbel(rest: str) -> Gumbel:
    return Gumbel(_context(*_numbers(rest, "k")))


def _tournament(rest: str) -> Tournament:
    m, k = _numbers(rest, "m", "k")
    if m not in range(1, 33):
        raise ValueError(f"m is 1 to 32 layers, not {m:g}")
    return Tournament(int(m), _context(k))


def _choice(rest: str) -> Choice:
    n, k = _numbers(rest, "n", "k")
    if n not in range(2, 65):
        raise ValueError(f"n is 2 to 64 answers, not {n:g}")
    return Choice(int(n), _context(k))


def _traced(rest: str) -> Traced:
    k, gamma, delta, m = _numbers(rest, "k", "g", "d", "m")
    plain = _kgw(rest.rpartition("-")[0])
    if plain.greens >= LEVELS // 2:
        raise ValueError(f"g is below 1/2, since there are two lists, not {gamma:g}")
    if m not in range(SHORTEST_CODE, LONGEST_CODE + 1):
        raise ValueError(f"m is {SHORTEST_CODE} to {LONGEST_CODE} bits of code, not {m:g}")
    return Traced(_context(k), plain.greens, delta, int(m))


def _numbers(rest: str, *letters: str) -> tuple[float, ...]:
    pattern = "-".join(letter + _NUMBER for letter in letters)
    found = re.fullmatch(pattern, rest)
    if found is None:
        raise ValueError(f"after the scheme come {', '.join(letters)}, each with its number")
    return tuple(float(number) for number in found.groups())


def _context(k: float) -> int:
    if k not in range(1, LONGEST_CONTEXT + 1):
        raise ValueError(f"k is 1 to {LONGEST_CONTEXT} units of context, not {k:g}")
    return int(k)


SCHEMES: dict[str, Parser] = {
    "kgw": _kgw,
    "gumbel": _gumbel,
    "tournament": _tournament,
    "choice": _choice,
    "traced": _traced,
}

EXAMPLES = ("kgw-k1-g0.25-d2", "gumbel-k2", "tournament-m30-k2", "choice-n4-k2", "traced-k1-g0.25-d2-m1024")


def _parsers() -> dict[str, Parser]:
    """Parsers by scheme; ours can't be replaced from outside."""
    outside: dict[str, Parser] = {point.name: point.load() for point in entry_points(group=GROUP)}
    return outside | SCHEMES
