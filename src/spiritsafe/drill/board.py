"""What has been seen so far: the drill's running tally, which the screen draws."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from spiritsafe.drill.play import Played

FEED = 12


class Standing(msgspec.Struct, frozen=True):
    """One decision as the screen shows it."""

    at: float
    action: str
    subject: str
    status: str
    accounts: tuple[str, ...]


class Board(msgspec.Struct):
    """Counts so far. ``evidence`` is the last known log10 e of each account by name, ``line`` what it has to cross.

    ``stage`` says what is going on while nothing is played yet, or no more.
    """

    target: int
    deadline: float
    line: float
    stage: str = "starting"
    now: float = 0.0
    served: int = 0
    refused: int = 0
    failed: int = 0
    tokens: int = 0
    evidence: dict[str, float] = {}
    links: dict[str, int] = {}
    rings: tuple[tuple[str, float], ...] = ()
    decisions: tuple[Standing, ...] = ()
    asked: Counter[str] = msgspec.field(default_factory=Counter)
    turned_away: Counter[str] = msgspec.field(default_factory=Counter)
    feed: deque[Played] = msgspec.field(default_factory=lambda: deque(maxlen=FEED))

    def tell(self, played: Played) -> None:
        """Count one request."""
        self.asked[played.actor] += 1
        self.tokens += played.tokens
        self.feed.append(played)
        if played.outcome == "served":
            self.served += 1
        elif played.outcome == "refused":
            self.refused += 1
            self.turned_away[played.actor] += 1
        else:
            self.failed += 1

    @property
    def count(self) -> int:
        """Requests that have ended."""
        return self.served + self.refused + self.failed

    def left(self) -> float | None:
        """Seconds until the end at the pace so far, None while nothing can be said."""
        if self.count < 10 or self.now <= 0:
            return None
        by_count = (self.target - self.count) * self.now / self.count
        return max(0.0, min(by_count, self.deadline - self.now))
