"""Word problems for beginners: one step, numbers up to twenty, more sums than differences.

A teacher of a hundred million parameters gets about half of the sums right and hardly anything of ``arithmetic``: with
these there is something right to keep and something wrong to reject.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from spiritsafe.distill.prompts.arithmetic import Pattern, problems
from spiritsafe.distill.prompts.types import Item

SMALL, UP_TO_TEN = range(2, 13), range(2, 10)

PATTERNS = (
    Pattern(1, "{name} asks: what is {a} + {b}?", (SMALL, UP_TO_TEN), lambda a, b: a + b, "{n}"),
    Pattern(1, "Help {name} to add {a} and {b}.", (SMALL, UP_TO_TEN), lambda a, b: a + b, "{n}"),
    Pattern(1, "What is {a} plus {b}, if {name} may ask?", (SMALL, UP_TO_TEN), lambda a, b: a + b, "{n}"),
    Pattern(1, "Take {b} from {a} for {name}.", (range(5, 20), UP_TO_TEN), lambda a, b: a - b, "{n}"),
    Pattern(
        1,
        "{name} has {a} {thing} and gets {b} more from {other}. How many {thing} does {name} have now?",
        (SMALL, UP_TO_TEN),
        lambda a, b: a + b,
    ),
    Pattern(
        1,
        "{name} buys {a} {thing} at the {place} and {b} in {town}. How many {thing} is that?",
        (SMALL, UP_TO_TEN),
        lambda a, b: a + b,
    ),
    Pattern(
        1,
        "The {place} has {a} {thing}. {name} brings {b} {thing}. How many {thing} has the {place} now?",
        (SMALL, UP_TO_TEN),
        lambda a, b: a + b,
    ),
    Pattern(
        1,
        "{name} reads {a} pages on {day}, then {b} at the {place}. What has {name} read in all?",
        (SMALL, UP_TO_TEN),
        lambda a, b: a + b,
        "{n} pages",
    ),
    Pattern(
        1,
        "{name} picks {a} {thing} and {other} picks {b}. How many {thing} have {name} and {other} together?",
        (SMALL, UP_TO_TEN),
        lambda a, b: a + b,
    ),
    Pattern(
        1,
        "{name} counts {a} {good} in {town} and {b} in the {place}. How many {good} does {name} count?",
        (SMALL, UP_TO_TEN),
        lambda a, b: a + b,
        "{n} {good}",
    ),
    Pattern(
        1,
        "{name} is {a} and {other} is {b} years older. What age has {other}?",
        (SMALL, UP_TO_TEN),
        lambda a, b: a + b,
        "{n} years",
    ),
    Pattern(
        1,
        "{name} spends ${a} on {good} and ${b} on {thing}. How many dollars does {name} spend?",
        (SMALL, UP_TO_TEN),
        lambda a, b: a + b,
        "${n}",
    ),
    Pattern(
        1,
        "{name} has {a} {thing} and gives {b} to {other}. How many {thing} does {name} keep?",
        (range(5, 20), UP_TO_TEN),
        lambda a, b: a - b,
    ),
    Pattern(
        1,
        "The {place} has {a} {good} and sells {b} of them to {name}. How many {good} are left?",
        (range(5, 20), UP_TO_TEN),
        lambda a, b: a - b,
        "{n} {good}",
    ),
)


def sums(dice: Random) -> Iterator[Item]:
    """Problems without end, every pattern as often as the others; an answer is a number with its unit."""
    return problems(PATTERNS, dice)
