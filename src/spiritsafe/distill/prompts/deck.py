"""Drawing without putting back: every choice comes up once before any comes up again."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


class Deck(Generic[T]):
    """Cards in random order, shuffled anew whenever all have been drawn."""

    def __init__(self, cards: Sequence[T], dice: Random) -> None:
        self._cards = tuple(cards)
        self._dice = dice
        self._left: list[T] = []

    def draw(self) -> T:
        if not self._left:
            self._left = list(self._cards)
            self._dice.shuffle(self._left)
        return self._left.pop()
