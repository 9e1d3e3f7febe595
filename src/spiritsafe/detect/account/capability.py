"""What is asked: how much more of an account's traffic is on one capability than tenants ask for that resemble it."""

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


class Capability(Mix):
    """The share of prompts of one sort that shows a skill (word problems, contest mathematics, writing code, deduction,
    tool calls...), in standard deviations above that of the peers whose traffic resembles this one most; the skill that
    stands out most. And that against what those peers themselves come to among their own.

    Peers and not the population: a tutor asks for mathematics as other tutors do.
    """

    name = "capability"
    version = 1
    family: Family = "asked"
    null = "this account asks for no capability more than honest tenants that ask much the same otherwise"
    clears = "a purpose that needs this capability, such as teaching, testing or a product built on it, would clear it"

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: by how much the share of that skill is above that of the peers. Unknown with too few of them."""
        stands = Standing.of(windows, peers.rows, left_out)
        excess, deviations, usual = stands.deviations()
        found, place = _most(deviations)
        statistic = stands.above(found, _most(usual)[0], _FLOOR)
        effect = excess[:, model().skill][np.arange(len(excess)), place]
        return stands.measured(statistic, effect)

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
