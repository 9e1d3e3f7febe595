"""Evaluation batches: one rigid template filled with items, as a benchmark run sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.drill.grammar import Grammar
from spiritsafe.drill.tenants.types import Ask, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

SUITES = {
    "sentiment": Grammar(
        {
            "start": [
                "Review: The {thing} was {word} and the {thing} {rather} {word}.\nSentiment (positive/negative):"
            ],
            "thing": ["room", "plot", "battery", "soup", "staff", "screen", "sound", "view", "ending", "delivery"],
            "word": [
                "superb",
                "dull",
                "broken",
                "charming",
                "cold",
                "tiny",
                "flawless",
                "loud",
                "fresh",
                "clumsy",
                "bright",
            ],
            "rather": ["rather", "almost", "truly", "a little", "never"],
        }
    ),
    "capitals": Grammar(
        {
            "start": [
                "Question: Which {what} {relation} {place}?\nA) {option} B) {option} C) {option} D) {option}\nAnswer:"
            ],
            "what": ["city", "river", "mountain range", "sea"],
            "relation": ["is nearest to", "lies north of", "is larger than", "borders"],
            "place": ["Peru", "Kenya", "Austria", "Nepal", "Estonia", "Uruguay", "Laos", "Morocco", "Iceland"],
            "option": [
                "Lima",
                "the Danube",
                "the Andes",
                "Riga",
                "the Nile",
                "Kathmandu",
                "the Baltic",
                "Fez",
                "the Alps",
                "Vientiane",
            ],
        }
    ),
    "entailment": Grammar(
        {
            "start": ["Premise: {who} {verb} {what} {where}.\nHypothesis: {who} {verb} {what}.\nLabel (yes/no/maybe):"],
            "who": ["A nurse", "Two boys", "An old man", "The choir", "A farmer", "Some tourists", "The judge"],
            "verb": ["carries", "paints", "sells", "watches", "repairs", "hides"],
            "what": ["a ladder", "three kites", "a red door", "an engine", "some bread", "a map"],
            "where": ["in the rain", "near a school", "at dawn", "behind a bus", "on a roof", "by the sea"],
        }
    ),
    "spelling": Grammar(
        {
            "start": ["Correct the spelling. Input: {a} {b} {c} {d}. Output:"],
            "a": ["teh", "Thier", "a freind", "beleive", "Wich"],
            "b": ["recieved", "seperate", "definately", "occured", "untill"],
            "c": ["calender", "goverment", "libary", "enviroment", "restaraunt"],
            "d": ["tommorow", "wierd", "adress", "neccessary", "begining", "acheive"],
        }
    ),
}


def asks(rng: Random) -> Iterator[Ask]:
    """One suite run end to end: nothing but its template, short answers, temperature 0."""
    suite = rng.choice(list(SUITES))
    while True:
        yield Ask(prompt=SUITES[suite].draw(rng), max_tokens=8, temperature=0.0)


KIND = Kind(
    name="evaluation",
    about="a benchmark run: one rigid template, short answers, temperature 0",
    asks=asks,
    pause=3.0,
    clients=("lm-eval/0.4", "openai-python/2.4"),
    sorts=len(SUITES),
)
