"""What is asked: how much more of an account's traffic is on one capability than tenants ask for that resemble it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.account.sorts import model, sorts_of
from spiritsafe.detect.account.standing import Standing
from spiritsafe.detect.account.sums import Sums
from spiritsafe.detect.types import UNKNOWN, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from spiritsafe.detect.types import Family, FloatArray, IntArray, Peers, Rows, Tracker
    from spiritsafe.record.sketch import Part, SketchColumns

_FLOOR = 0.3


class Capability:
    """The share of prompts of one sort that shows a skill (word problems, contest mathematics, writing code, deduction,
    tool calls...), in standard deviations above that of the peers whose traffic resembles this one most; the skill that
    stands out most. And that against what those peers themselves come to among their own.

    Peers and not the population: a tutor asks for mathematics as other tutors do.
    """

    name = "capability"
    version = 1
    family: Family = "asked"
    null = "this account asks for no capability more than honest tenants that ask much the same otherwise"
    sees: Literal["prompts"] = "prompts"
    parts: frozenset[Part] = frozenset({"embedding"})
    needs_peers = True
    by_kind = False
    weight = 1.0
    every_prompt = False
    clears = "a purpose that needs this capability, such as teaching, testing or a product built on it, would clear it"

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
        """Effect: by how much the share of that skill is above that of the peers. Unknown with too few of them."""
        stands = Standing.of(windows, peers.rows, left_out)
        excess, deviations, usual = stands.deviations()
        found, place = _most(deviations)
        statistic = stands.above(found, _most(usual)[0], _FLOOR)
        effect = excess[:, model().skill][np.arange(len(excess)), place]
        n = stands.windows.n.astype(np.int64)
        return Measured(np.where(stands.near.enough(), statistic, UNKNOWN), effect, n)

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return (
            f"of its {n} distinct prompts {max(effect, 0.0):.1%} more ask for one and the same skill (mathematics,"
            " code, deduction, tool calls and the like) than with the tenants that ask most alike"
        )


def _most(deviations: FloatArray) -> tuple[FloatArray, IntArray]:
    """The largest deviation of a skill, and which skill."""
    skills = deviations[:, model().skill]
    place = skills.argmax(axis=1)
    return skills[np.arange(len(skills)), place], place
