"""How the asking is phrased: grading by a rubric, which is how preference and reward data is made."""

from __future__ import annotations

from spiritsafe.detect.account.manners import Manner


class Rubric(Manner):
    """Prompts that have answers graded by criteria, compared, ranked, or marked step by step. See ``Manner``."""

    name = "rubric"
    version = 1
    manner = "grade_it"
    null = "this account has answers graded as rarely as honest tenants that ask for the same sorts of things"
    clears = "grading of its own, such as an evaluation of its product or schoolwork, would clear it"

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return f"{effect:.0%} of its {n} distinct prompts have answers graded, compared or ranked by criteria"
