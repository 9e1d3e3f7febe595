"""Telling a prompt from its answer, for servers that show a processor one growing row of ids and no more."""

from __future__ import annotations


class Steps:
    """Where the answer begins, by how rows grow: within one answer each is one id longer than the last.

    ``prompt_tokens`` fixes it; None takes the first row of an answer for its prompt. One object serves one
    generation at a time.
    """

    def __init__(self, prompt_tokens: int | None) -> None:
        self._fixed = prompt_tokens
        self._start = 0
        self._last = -1

    def start(self, length: int) -> int:
        """How many of the ``length`` ids of this step are the prompt's."""
        if self._fixed is not None:
            return self._fixed
        if length != self._last + 1:
            self._start = length
        self._last = length
        return self._start
