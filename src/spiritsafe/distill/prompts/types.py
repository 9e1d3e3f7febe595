"""The one call shape of a prompt generator."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple, Protocol


class Item(NamedTuple):
    """A prompt, and the right answer to it where the generator knows one."""

    text: str
    answer: str | None = None


class Generator(Protocol):
    """``generator(dice)`` gives prompts without end; the same dice give the same prompts. It may repeat itself."""

    def __call__(self, dice: Random) -> Iterator[Item]: ...
