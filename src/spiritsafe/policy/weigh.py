"""Evidence weighed: from single results to evidence from at least so many independent families."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from spiritsafe.stats.evalues import average, partial_conjunction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spiritsafe.stats.result import Evidence


def by_family(evidence: Sequence[Evidence]) -> dict[str, float]:
    """log10 of one e-value a family: the average of its detectors', valid whatever their dependence."""
    found: dict[str, list[float]] = defaultdict(list)
    for item in evidence:
        found[item.family].append(item.result.log10_e)
    return {family: average(values) for family, values in sorted(found.items())}


def from_families(weights: Mapping[str, float], families: int) -> float:
    """log10 of an e-value against "fewer than ``families`` families speak against the subject": drop the largest
    ``families`` - 1 and average the rest. Fewer families than that prove nothing: 0.
    """
    return partial_conjunction(list(weights.values()), families)
