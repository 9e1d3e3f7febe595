"""Leads: they say where to look, and prove nothing. Nobody planted them, so nobody knows how often they mislead.

They are kept in a section of their own, and neither added to the evidence nor weighed by the verdict. A new one is a
file here and a line in ``LEADS``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spiritsafe.prove.account import Lead
from spiritsafe.prove.leads import agreement, choices, identity, style
from spiritsafe.prove.leads.types import Material
from spiritsafe.prove.suspect import Suspect

LEADS: dict[str, tuple[str, Callable[[Suspect, Material], float | None]]] = {
    "next-token agreement": (agreement.WORDS, agreement.agreement),
    "style": (style.WORDS, style.style),
    "self-identification": (identity.WORDS, identity.identity),
    "choices": (choices.WORDS, choices.choices),
}


def leads(suspect: Suspect, controls: Sequence[Suspect], material: Material) -> list[Lead]:
    """Each lead on the suspect, and on the controls beside it; those that can't be had are left out."""
    found = []
    for name, (words, measure) in LEADS.items():
        score = measure(suspect, material)
        beside = [other for control in controls if (other := measure(control, material)) is not None]
        if score is not None:
            controlled = tuple(round(other, 6) for other in beside)
            found.append(Lead(name=name, words=words, score=round(score, 6), controls=controlled))
    return found
