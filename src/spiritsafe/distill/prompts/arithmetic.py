"""Word problems for grade school, of one to four steps, each with its answer and unit known.

A pattern has slots for people, things and numbers; numbers are drawn anew until the answer is a whole number above 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from random import Random
from typing import NamedTuple

from spiritsafe.distill.prompts.deck import Deck
from spiritsafe.distill.prompts.types import Item

TRIES = 1000
_NUMBER = re.compile(r"\{([a-e])\}")

NAMES = (
    "Ada", "Ben", "Clara", "Dario", "Elif", "Femi", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Luis", "Mira", "Nils",
    "Olga", "Paul", "Quinn", "Rosa", "Samir", "Tessa", "Ugo", "Vera", "Wanda", "Xavier", "Yara", "Zeno", "Amina",
    "Boris", "Celia", "Dmitri", "Esther", "Farid", "Gwen", "Hana", "Ivan", "Julia", "Kofi", "Lena", "Marco", "Nora",
)  # fmt: skip
THINGS = (
    "apples", "pencils", "stickers", "marbles", "shells", "buttons", "stamps", "cookies", "postcards", "beads",
    "walnuts", "balloons", "candles", "ribbons", "tomatoes", "coins", "seeds", "cards", "figs", "bottles",
)  # fmt: skip
GOODS = (
    "notebooks", "mugs", "scarves", "lamps", "caps", "puzzles", "plants", "brushes", "cushions", "paint sets",
    "kites", "calendars", "gloves", "baskets", "jars of honey", "cheeses", "tickets", "books", "bells", "hats",
)  # fmt: skip
PLACES = (
    "school", "library", "market", "bakery", "museum", "farm", "harbour", "theatre", "garden centre", "club",
    "hotel", "workshop", "station café", "toy shop", "community hall",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PEOPLE = ("name", "other", "third", "friend")
TOWNS = (
    "Ashby", "Brill", "Corvo", "Dunmore", "Elstow", "Farr", "Glenn", "Harwick", "Istra", "Jura", "Kells", "Lorne",
    "Marl", "Nesso", "Orton", "Pella",
)  # fmt: skip
CLOTHS = ("ribbon", "rope", "silk", "wire", "lace", "string", "tape", "linen", "hose", "braid")
VEHICLES = ("train", "bus", "lorry", "ferry", "cyclist", "van", "tram", "coach")


class Pattern(NamedTuple):
    """``solve`` takes the numbers of ``text`` in the order of their letters; ``unit`` says what ``{n}`` of is asked."""

    steps: int
    text: str
    ranges: tuple[Sequence[int], ...]
    solve: Callable[..., Fraction | int]
    unit: str = "{n} {thing}"


PATTERNS = (
    Pattern(
        1,
        "{name} has {a} {thing} and gets {b} more from {other}. How many {thing} does {name} have now?",
        (range(6, 90), range(4, 70)),
        lambda a, b: a + b,
    ),
    Pattern(
        1,
        "{name} has {a} {thing}. {other} takes {b} {thing}. How many {thing} are left for {name}?",
        (range(20, 99), range(3, 60)),
        lambda a, b: a - b,
    ),
    Pattern(
        1,
        "A box holds {a} {thing}. How many {thing} are in {b} boxes at the {place}?",
        (range(4, 36), range(3, 16)),
        lambda a, b: a * b,
    ),
    Pattern(
        1,
        "{name} shares {a} {thing} equally among {b} friends. How many {thing} is that for each friend of {name}?",
        (range(24, 240), range(3, 13)),
        Fraction,
    ),
    Pattern(
        1,
        "On {day} the {place} sold {a} {good}, {name} {b} fewer. How many {good} did {name} sell on {day}?",
        (range(40, 200), range(5, 80)),
        lambda a, b: a - b,
        "{n} {good}",
    ),
    Pattern(
        1,
        "The {vehicle} to {town} covers {a} kilometres an hour. How far does {name} get in {b} hours?",
        (range(12, 95), range(2, 10)),
        lambda a, b: a * b,
        "{n} kilometres",
    ),
    Pattern(
        2,
        "{name} buys {a} {good} at ${b} each and pays with ${c}. How many dollars of change does {name} get?",
        (range(2, 9), range(3, 19), range(20, 201, 10)),
        lambda a, b, c: c - a * b,
        "${n}",
    ),
    Pattern(
        2,
        "{name} packs {a} bags with {b} {thing} each and gives {c} to {other}. How many {thing} does {name} keep?",
        (range(3, 12), range(5, 25), range(2, 30)),
        lambda a, b, c: a * b - c,
    ),
    Pattern(
        2,
        "{name} has {a} {thing}. {other} has {b} times as many. How many {thing} do {name} and {other} have together?",
        (range(4, 40), range(2, 8)),
        lambda a, b: a + a * b,
    ),
    Pattern(
        2,
        "The {place} has {a} tables with {b} chairs each. {c} chairs are taken. How many can {name} offer on {day}?",
        (range(4, 20), range(3, 9), range(5, 60)),
        lambda a, b, c: a * b - c,
        "{n} chairs",
    ),
    Pattern(
        2,
        "{name} reads {a} pages on {day} and {b} pages a day for {c} days more. How many pages has {name} read then?",
        (range(10, 60), range(8, 40), range(2, 8)),
        lambda a, b, c: a + b * c,
        "{n} pages",
    ),
    Pattern(
        2,
        "{name} has {a} {thing}, {other} {b}. They put all {thing} equally into {c} bowls. "
        "How many {thing} does {name} find in each bowl?",
        (range(10, 80), range(10, 80), range(2, 10)),
        lambda a, b, c: Fraction(a + b, c),
    ),
    Pattern(
        2,
        "Half of the {a} {good} at the {place} are sold on {day}, and {name} buys {b} more. How many {good} remain?",
        (range(30, 201, 2), range(4, 50)),
        lambda a, b: a // 2 - b,
        "{n} {good}",
    ),
    Pattern(
        2,
        "{name} cuts {a} metres of {cloth} into pieces of {b} centimetres. How many pieces has {name}?",
        (range(2, 25), range(4, 51)),
        lambda a, b: Fraction(100 * a, b),
        "{n} pieces",
    ),
    Pattern(
        2,
        "{name} is {a} years old. Twice that less {b} years is what {other} is. How old is {other} on {day}?",
        (range(8, 45), range(1, 20)),
        lambda a, b: 2 * a - b,
        "{n} years",
    ),
    Pattern(
        2,
        "On {day} the {place} takes {b}% off the price of {good}. What does {name} pay for {good} of ${a}?",
        (range(20, 301, 5), range(5, 55, 5)),
        lambda a, b: Fraction(a * (100 - b), 100),
        "${n}",
    ),
    Pattern(
        3,
        "{name} earns ${a} an hour at the {place}, {b} hours a day on {c} days, and spends ${d} on {good}. "
        "How much money does {name} keep?",
        (range(8, 31), range(3, 9), range(2, 7), range(10, 200)),
        lambda a, b, c, d: a * b * c - d,
        "${n}",
    ),
    Pattern(
        3,
        "The {place} orders {a} crates of {b} {thing}. {c} {thing} are spoilt, {name} puts the rest into bags of {d}. "
        "How many bags of {thing} does {name} fill?",
        (range(3, 15), range(10, 40), range(2, 40), range(3, 13)),
        lambda a, b, c, d: Fraction(a * b - c, d),
        "{n} bags",
    ),
    Pattern(
        3,
        "{name} has {a} {thing}, {other} has {b} more than {name}, and {third} has twice as many as {other}. "
        "How many {thing} have {name}, {other} and {third} together?",
        (range(3, 40), range(2, 25)),
        lambda a, b: a + (a + b) + 2 * (a + b),
    ),
    Pattern(
        3,
        "The {vehicle} from {town} does {a} kilometres an hour for {b} hours, {name} on a bicycle {c} for {d} hours. "
        "How many kilometres do {name} and the {vehicle} go together?",
        (range(20, 90), range(2, 6), range(15, 80), range(2, 5)),
        lambda a, b, c, d: a * b + c * d,
        "{n} kilometres",
    ),
    Pattern(
        3,
        "{name} bakes {a} trays of {b} rolls. {other} buys a quarter of them, {third} buys {c}. "
        "How many rolls does {name} keep on {day}?",
        (range(2, 12), range(4, 29, 4), range(2, 30)),
        lambda a, b, c: Fraction(3 * a * b, 4) - c,
        "{n} rolls",
    ),
    Pattern(
        3,
        "Tickets for the {place} cost ${a} for adults and ${b} for children. {name} brings {c} adults "
        "and {d} children. What does {name} pay?",
        (range(8, 25), range(3, 12), range(2, 7), range(2, 12)),
        lambda a, b, c, d: a * c + b * d,
        "${n}",
    ),
    Pattern(
        3,
        "{name} saves ${a} a week. After {b} weeks {other} adds ${c}, and {name} buys {good} for ${d}. "
        "How many dollars does {name} still have?",
        (range(4, 30), range(4, 16), range(5, 50), range(10, 120)),
        lambda a, b, c, d: a * b + c - d,
        "${n}",
    ),
    Pattern(
        3,
        "{name} fills the tank of {a} litres at the {place}: {b} litres a minute flow in, {c} leak out. "
        "How many minutes must {other} wait until it is full?",
        (range(40, 601, 10), range(6, 30), range(1, 8)),
        lambda a, b, c: Fraction(a, b - c) if b > c else 0,
        "{n} minutes",
    ),
    Pattern(
        4,
        "{name} buys {a} {good} at ${b} each and {c} {thing} at ${d} each, with a voucher of ${e} from {other}. "
        "How much does {name} pay?",
        (range(2, 8), range(4, 20), range(3, 12), range(1, 6), range(5, 30)),
        lambda a, b, c, d, e: a * b + c * d - e,
        "${n}",
    ),
    Pattern(
        4,
        "The {place} has {a} shelves of {b} {good}. A third of all {good} are sold on {day}, then {name} buys {c}, "
        "and {d} new {good} arrive. How many {good} are there in the {place} now?",
        (range(3, 13, 3), range(8, 30), range(3, 40), range(5, 50)),
        lambda a, b, c, d: a * b - a * b // 3 - c + d,
        "{n} {good}",
    ),
    Pattern(
        4,
        "{name}, {other} and {third} collect {a}, {b} and {c} {thing}. They give {d} to {friend} and share the rest. "
        "How many {thing} does {name} get, if all three get the same?",
        (range(10, 60), range(10, 60), range(10, 60), range(3, 40)),
        lambda a, b, c, d: Fraction(a + b + c - d, 3),
    ),
    Pattern(
        4,
        "{name} needs {a} {thing} for each of {b} guests and has {c}. The {place} has packs of {d} {thing} "
        "at ${e} each. What must {name} pay?",
        (range(2, 7), range(6, 25), range(4, 30), range(4, 13), range(2, 10)),
        lambda a, b, c, d, e: -(-(a * b - c) // d) * e,
        "${n}",
    ),
)


def arithmetic(dice: Random) -> Iterator[Item]:
    """Problems without end, every pattern as often as the others; an answer is a number with its unit."""
    return problems(PATTERNS, dice)


def problems(patterns: Sequence[Pattern], dice: Random) -> Iterator[Item]:
    """Problems of these patterns, with other people, things and numbers each time."""
    deck = Deck(patterns, dice)
    names = Deck(NAMES, dice)
    slots = {
        "thing": Deck(THINGS, dice),
        "good": Deck(GOODS, dice),
        "place": Deck(PLACES, dice),
        "day": Deck(DAYS, dice),
        "vehicle": Deck(VEHICLES, dice),
        "town": Deck(TOWNS, dice),
        "cloth": Deck(CLOTHS, dice),
    }
    while True:
        pattern = deck.draw()
        words = {slot: names.draw() for slot in PEOPLE if f"{{{slot}}}" in pattern.text}
        if len(set(words.values())) < len(words):
            continue  # the deck of names was shuffled anew in between, and gave one person twice
        words |= {slot: deck.draw() for slot, deck in slots.items()}
        numbers, value = _solved(pattern, dice)
        yield Item(pattern.text.format(**words, **numbers), pattern.unit.format(n=value, **words))


def _solved(pattern: Pattern, dice: Random) -> tuple[dict[str, int], int]:
    letters = sorted(set(_NUMBER.findall(pattern.text)))
    for _ in range(TRIES):
        drawn = [dice.choice(r) for r in pattern.ranges]
        value = Fraction(pattern.solve(*drawn))
        if value > 0 and value.denominator == 1:
            return dict(zip(letters, drawn, strict=True)), value.numerator
    raise AssertionError(f"no numbers fit {pattern.text!r}")
