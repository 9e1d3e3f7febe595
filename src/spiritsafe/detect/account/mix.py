"""What detectors have in common that hold an account against the peers that ask for the same sorts of things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from spiritsafe.detect.account.sorts import model, sorts_of
from spiritsafe.detect.account.sums import Sums

if TYPE_CHECKING:
    from spiritsafe.detect.types import Rows, Tracker
    from spiritsafe.record.sketch import Part, SketchColumns


class Mix:
    """Knows an account by its mix of sorts: its window is [prompts, sums of the chances of sorts...]. One that reads
    more of a text keeps that beside the sorts (see ``standing.Counted``), and measures by ``standing.Standing``.
    """

    sees: Literal["prompts"] = "prompts"
    parts: frozenset[Part] = frozenset({"embedding"})
    needs_peers = True
    by_kind = False
    weight = 1.0
    every_prompt = False

    def features(self, sketches: SketchColumns) -> Rows:
        """The chance that each text is of each sort [n, sorts]."""
        return sorts_of(sketches)

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing."""
        return Sums(len(model().names))

    def from_state(self, state: bytes) -> Tracker:
        """The tracker whose ``state`` this was."""
        return Sums.from_state(state)
