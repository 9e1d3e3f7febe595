"""The one call shape of a verifier."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Verdict(NamedTuple):
    """``right``, and what was seen, in words, for the report."""

    right: bool
    because: str


class Verify(Protocol):
    """``verify(prompt, answer, known)``: ``known`` is the right answer (or the tests) that came with the prompt."""

    def __call__(self, prompt: str, answer: str, known: str) -> Verdict: ...
