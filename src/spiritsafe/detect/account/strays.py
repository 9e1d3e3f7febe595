"""What is asked: how much of it strays from what tenants ask for that resemble this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.account.mix import Mix
from spiritsafe.detect.account.sorts import model
from spiritsafe.detect.account.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import Family, FloatArray, IntArray, Measured, Peers, Rows

_FLOOR = 0.3
_SORTS = 3


class Strays(Mix):
    """The three sorts of prompts that stand out most above the peers whose traffic resembles this one: the root of
    the sum of their squared deviations, against what those peers themselves come to among their own.

    A harvest that is a twentieth of what an account asks moves its mean by next to nothing, but some sort of prompt
    that its kind never asks for shows at once. Manners (grading, thinking aloud, lifting refusals) are left to the
    family that looks at the phrasing, so that one cause doesn't speak twice.
    """

    name = "strays"
    version = 1
    family: Family = "asked"
    null = "this account asks for the sorts of things that honest tenants ask for that resemble it"
    clears = "a second purpose beside the one it mostly serves, once it is named, would clear it"

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: the share of prompts beyond what the peers ask for, over all sorts. Unknown with too few peers."""
        stands = Standing.of(windows, peers.rows, left_out)
        excess, deviations, usual = stands.deviations()
        statistic = stands.above(_straying(deviations), _straying(usual), _FLOOR)
        beyond = np.maximum(excess[:, ~model().manner], 0.0).sum(axis=1)
        return stands.measured(statistic, beyond)

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return (
            f"{effect:.0%} of its {n} distinct prompts are of sorts that the tenants that ask most alike don't ask for"
        )


def _straying(deviations: FloatArray) -> FloatArray:
    most = np.sort(np.maximum(deviations[:, ~model().manner], 0.0), axis=1)[:, -_SORTS:]
    return np.asarray(np.sqrt((most**2).sum(axis=1)), dtype=np.float64)
