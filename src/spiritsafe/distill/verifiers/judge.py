"""Asking a model whether an answer is right. A judge errs: what it says is kept, and reported as its opinion."""

from __future__ import annotations

import re
from collections.abc import Callable

from spiritsafe.distill.verifiers.types import Verdict

QUESTION = """\
Question:
{prompt}

Reference answer:
{known}

Answer to be checked:
{answer}

Does the answer to be checked agree with the reference answer? Reply with one word, yes or no."""

_WORD = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


class Judge:
    """Right when the model behind ``ask`` (a question in, its reply out) says yes first; no clear word is a no."""

    def __init__(self, ask: Callable[[str], str], name: str) -> None:
        self._ask = ask
        self._name = name

    def __call__(self, prompt: str, answer: str, known: str) -> Verdict:
        reply = self._ask(QUESTION.format(prompt=prompt, known=known, answer=answer))
        word = _WORD.search(reply)
        if word is None:
            return Verdict(False, f"the judge {self._name} gave no clear word: {reply[:80]!r}")
        return Verdict(word[1].lower() == "yes", f"the judge {self._name} said {word[1].lower()}")
