"""What detectors of one manner of asking have in common: its share of an account's prompts, held against its peers'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.detect.account.mix import Mix
from spiritsafe.detect.account.sorts import model
from spiritsafe.detect.account.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import Family, IntArray, Measured, Peers, Rows

_LEAST = 0.01


class Manner(Mix):
    """By how many deviations the share of prompts that are of one sort, ``manner``, is above that of the peers that ask
    for the same sorts of things; and that against what those peers come to among their own.

    Only what users send is read, never a system prompt.
    """

    manner: str
    family: Family = "phrased"

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: the share. Unknown with too few peers."""
        stands = Standing.of(windows, peers.rows, left_out)
        place = model().names.index(self.manner)
        share = stands.windows.share[:, place]
        above = stands.share_above(share, stands.among.shares.share[:, place], _LEAST)
        return stands.measured(above, share)
