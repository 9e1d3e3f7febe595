"""What detectors of one manner of asking have in common: its share of an account's prompts, held against its peers'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from spiritsafe.detect.account.sorts import model, sorts_of
from spiritsafe.detect.account.standing import Standing
from spiritsafe.detect.account.sums import Sums
from spiritsafe.detect.types import UNKNOWN, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import Family, IntArray, Peers, Rows, Tracker
    from spiritsafe.record.sketch import Part, SketchColumns

_LEAST = 0.01


class Manner:
    """By how many deviations the share of prompts that are of one sort, ``manner``, is above that of the peers that ask
    for the same sorts of things; and that against what those peers come to among their own.

    Only what users send is read, never a system prompt.
    """

    manner: str
    family: Family = "phrased"
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

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: the share. Unknown with too few peers."""
        stands = Standing.of(windows, peers.rows, left_out)
        place = model().names.index(self.manner)
        share = stands.windows.share[:, place]
        above = stands.share_above(share, stands.among.shares.share[:, place], _LEAST)
        return Measured(np.where(stands.near.enough(), above, UNKNOWN), share, stands.windows.n.astype(np.int64))
