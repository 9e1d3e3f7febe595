"""Math students: homework, sometimes with the steps; the honest account nearest to a harvest of reasoning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.drill.grammar import Grammar
from spiritsafe.drill.tenants.types import Ask, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

GRAMMAR = Grammar(
    {
        "start": [
            "{name} buys {int:2-19} {goods} at {int:2-30} cents and pays with {int:5-20} euros. What is the change?",
            "Solve for x: {int:2-12}x + {int:1-40} = {int:20-99}",
            "What is the derivative of {function}?",
            "A {shape} has {measure} {int:2-25} cm. {want}?",
            "{name} walks {int:2-12} km in {int:20-170} minutes. What is the speed?",
            "Simplify {int:2-9}({int:2-9}a - {int:2-9}b) + {int:2-9}b",
            "What is {int:5-95}% of {int:40-900}?",
            "The mean of {int:2-30}, {int:2-30}, {int:2-30} and y is {int:5-25}. Find y.",
            "Factor x^2 + {int:3-19}x + {int:2-48}",
            "I got {int:10-99} for {int:3-14} times {int:3-14}, is that right?",
            "In a class of {int:18-34}, {int:4-15} play {goods}. What share is that?",
            "Which rule do I need for {function}?",
            "What does {term} mean in my book?",
        ],
        "name": ["Amina", "Jonas", "Lucia", "Pavel", "Mei", "Oscar", "Rosa", "Tariq", "Ingrid"],
        "goods": ["pencils", "apples", "stickers", "tickets", "stamps", "marbles", "rulers"],
        "function": ["sin(x)^{int:2-5}", "x^{int:2-9} ln x", "e^({int:2-7}x)", "1/(x+{int:1-9})", "sqrt({int:2-9}x)"],
        "shape": ["cylinder", "square", "rhombus", "sphere", "triangle", "cube"],
        "measure": ["a side of", "a height of", "a diameter of", "a diagonal of"],
        "want": ["What is its area", "How long is the edge", "What is the volume", "What is the perimeter"],
        "term": ["coefficient", "asymptote", "modulus", "discriminant", "permutation", "tangent", "median"],
    }
)
HELP = (
    "",
    "",
    "",
    "",
    "",
    " I am stuck.",
    " Can you show me how?",
    " Explain it please.",
    " Just the answer.",
    " what comes first?",
)
OPEN = ("", "", "", "", "Homework: ", "exam tomorrow! ", "Question {n}) ")


def asks(rng: Random) -> Iterator[Ask]:
    """One student: this term's chapters, their numbering, now and then a plea for the steps."""
    grammar = GRAMMAR.narrowed(rng, start=8, function=3)
    number = rng.randint(1, 12)
    while True:
        number += 1
        text = rng.choice(OPEN).format(n=number) + grammar.draw(rng) + rng.choice(HELP)
        yield Ask(prompt=text, max_tokens=rng.randint(18, 28), temperature=0.5)


KIND = Kind(
    name="student",
    about="homework in mathematics, sometimes asking for the steps",
    asks=asks,
    pause=8.0,
    clients=("Mozilla/5.0 (chat)", "Mozilla/5.0 (chat; mobile)"),
)
