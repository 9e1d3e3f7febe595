"""The one call shape of a stage."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from spiritsafe.distill.stages import Run


class Report(Protocol):
    """How a stage talks to whoever waits for it."""

    def __call__(self, what: str, share: float, left: float | None) -> None:
        """What is being done, how far it is (0 to 1) and the seconds left, None where nobody knows."""

    def say(self, line: str) -> None:
        """A line that stays on the screen."""


class Made(NamedTuple):
    """A stage's ``outputs`` (files in its folder) and the ``counts`` that its manifest keeps."""

    outputs: list[Path]
    counts: dict[str, int | float | str]


class Step(Protocol):
    """``step(run, report)`` does the stage's work in the stage's folder; called again, it goes on where it was."""

    def __call__(self, run: Run, report: Report) -> Made: ...
