"""Evidence weighed: from single results to evidence from at least so many independent families."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.stats.evalues import average, partial_conjunction
from spiritsafe.stats.result import JOINTLY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spiritsafe.stats.result import Evidence


def by_family(evidence: Sequence[Evidence]) -> dict[str, float]:
    """log10 of one e-value a family: the weighted mean of its detectors', valid whatever their dependence."""
    found: dict[str, list[Evidence]] = defaultdict(list)
    for item in evidence:
        found[item.family].append(item)
    return {family: _mean(items) for family, items in sorted(found.items())}


def _mean(items: Sequence[Evidence]) -> float:
    weights = np.array([item.weight for item in items])
    return average([item.result.log10_e for item in items], weights / weights.sum())


def from_families(weights: Mapping[str, float], families: int) -> float:
    """log10 of an e-value against "fewer than ``families`` families speak against the subject": drop the largest
    ``families`` - 1 and average the rest. Fewer families than that prove nothing: 0. Against fewer than two,
    ``JOINTLY`` stands in place of all that where there is any.
    """
    if families == 2 and JOINTLY in weights:
        return weights[JOINTLY]
    return partial_conjunction([weight for family, weight in weights.items() if family != JOINTLY], families)


def families_in(weights: Mapping[str, float]) -> int:
    """How many families say anything."""
    return len(weights) - (JOINTLY in weights)
