"""How the asking is phrased: lifting refusals, pairs of which teach a student where its teacher's limits are."""

from __future__ import annotations

from spiritsafe.detect.account.manners import Manner


class Refusals(Manner):
    """Prompts that have a refusal rewritten into an answer, or a request into one that is accepted. See ``Manner``."""

    name = "refusals"
    version = 1
    manner = "unrefuse"
    null = "this account asks to lift refusals as rarely as honest tenants that ask for the same sorts of things"
    clears = "work on safety, such as testing its own filter under an agreement, would clear it"

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return (
            f"{effect:.0%} of its {n} distinct prompts ask to answer what was refused, or to reword it until it isn't"
        )
