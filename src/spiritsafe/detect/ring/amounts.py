"""How much each asks: customers that were given a quota ask nearly the same amount."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from spiritsafe.detect.wealth import evidence_of_ring
from spiritsafe.stats.result import Evidence

if TYPE_CHECKING:
    from spiritsafe.detect.types import FloatArray

SPREAD = 0.5
"""How much honest customers of one kind differ at least: the standard deviation of the logarithm of what they ask.

A factor of 1.65 either way. Of the kinds of customers in the traffic simulator the most alike have .7 (.6 of their own
rate, and chance), the 422 clients of a production trace 2.3 (docs/log.md).
"""

_NULL = f"customers differ in how much they ask by a factor of {math.exp(SPREAD):.2f} or more either way"


def log10_even(exchanges: FloatArray) -> float:
    """log10 of the chance that customers who differ by ``SPREAD`` are as much alike: the lower tail of chi-squared.

    Exact for lognormal amounts with that spread; amounts that differ more are alike less often, and heavier tails than
    lognormal come with a larger spread.
    """
    if len(exchanges) < 3:
        return 0.0
    logs = np.log(np.maximum(exchanges, 1.0))
    total = float(((logs - logs.mean()) ** 2).sum()) / SPREAD**2
    return max(float(stats.chi2.logcdf(total, len(logs) - 1)) / math.log(10.0), -300.0)


def even(ring_id: str, exchanges: FloatArray) -> Evidence:
    """The evidence, of the family ``when``, that customers were given their amounts. ``exchanges``: one a customer."""
    log10_p = min(log10_even(exchanges), 0.0)
    spread = float(np.log(np.maximum(exchanges, 1.0)).std()) if len(exchanges) else 0.0
    middle = float(np.median(exchanges)) if len(exchanges) else 0.0
    words = (
        f"its {len(exchanges)} customers ask about {middle:,.0f} times each, give or take a factor of"
        f" {math.exp(spread):.2f}; honest customers differ more"
    )
    return evidence_of_ring(
        "when",
        "amounts",
        ring_id,
        _NULL,
        log10_p,
        n=len(exchanges),
        unit="customers",
        effect=spread,
        distribution=f"chi-squared of log amounts, spread {SPREAD}",
        because=(words,),
    )
