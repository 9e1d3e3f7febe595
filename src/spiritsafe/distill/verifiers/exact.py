"""Exact match of the final answer, up to case, white space and closing punctuation."""

from __future__ import annotations

import re
import unicodedata

from spiritsafe.distill.verifiers.types import Verdict

_FINAL = re.compile(r"(?:####|(?:final )?answer\s*(?:is|:))\s*(.+)", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")


def final_answer(text: str) -> str:
    """What an answer settles on: the last ``\\boxed{}``, ``#### x``, ``answer is x`` or ``answer: x``, else its last
    line that is not empty.
    """
    for pattern in (_BOXED, _FINAL):
        found = pattern.findall(text)
        if found:
            return str(found[-1]).strip()
    filled = [line.strip() for line in text.splitlines() if line.strip()]
    return filled[-1] if filled else ""


def plain(text: str) -> str:
    """Case-folded, NFKC, single spaces, without surrounding punctuation."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).strip(" .,;:!?\"'`*()[]$")


class Exact:
    """Right when the final answer is the known one."""

    def __call__(self, prompt: str, answer: str, known: str) -> Verdict:
        said = final_answer(answer)
        right = plain(said) == plain(final_answer(known))
        return Verdict(right, f"said {said[:80]!r}, the known answer is {final_answer(known)[:80]!r}")
