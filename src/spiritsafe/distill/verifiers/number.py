"""Comparing the number an answer settles on."""

from __future__ import annotations

import re
from fractions import Fraction

from spiritsafe.distill.verifiers.exact import final_answer
from spiritsafe.distill.verifiers.types import Verdict

_NUMBER = re.compile(
    r"(?P<sign>[-\u2212]?)[$\u20ac\u00a3]?(?P<whole>\d{1,3}(?:,\d{3})+|\d+)?"
    r"(?P<part>\.\d+)?(?:\s?/\s?(?P<under>\d+))?(?P<percent>\s?%)?"
)


def numbers(text: str) -> list[Fraction]:
    """Every number in ``text``, exact: ``1,234.5``, ``3/4``, ``12%`` (as 12), ``-7``. A fraction over 0 is left out."""
    found = []
    for match in _NUMBER.finditer(text):
        if match["whole"] is None and match["part"] is None:
            continue
        value = Fraction((match["whole"] or "0").replace(",", "") + (match["part"] or ""))
        if match["under"] is not None:
            if int(match["under"]) == 0:
                continue
            value /= int(match["under"])
        # A minus straight after a digit or a word is a hyphen or a subtraction, not a sign.
        before = text[: match.start()][-1:]
        signed = bool(match["sign"]) and not (before.isalnum() or before == ")")
        found.append(-value if signed else value)
    return found


class Number:
    """Right when the last number of the final answer (or, if that has none, of the whole answer) equals the last
    number of the known one, within ``tolerance`` relative to it.
    """

    def __init__(self, tolerance: float = 1e-6) -> None:
        self._tolerance = Fraction(tolerance)

    def __call__(self, prompt: str, answer: str, known: str) -> Verdict:
        wanted = numbers(final_answer(known))
        if not wanted:
            return Verdict(False, f"the known answer {known[:80]!r} holds no number")
        said = numbers(final_answer(answer)) or numbers(answer)
        if not said:
            return Verdict(False, "the answer holds no number")
        right = abs(said[-1] - wanted[-1]) <= self._tolerance * max(Fraction(1), abs(wanted[-1]))
        return Verdict(right, f"said {_shown(said[-1])}, the known answer is {_shown(wanted[-1])}")


def _shown(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.10g}"
