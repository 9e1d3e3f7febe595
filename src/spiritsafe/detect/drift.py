"""Whether a log's traffic still looks like the reference it is compared with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from spiritsafe.stats.logs import LN10

if TYPE_CHECKING:
    from spiritsafe.detect.reference import Reference
    from spiritsafe.detect.types import Evaluation, FloatArray

LEAST = 30
"""Accounts that it takes on either side."""

CERTAIN = -3.0
"""log10 of the chance of such traffic without drift at which a scan says so."""


def log10_drift(evaluation: Evaluation, reference: Reference) -> float:
    """log10 of the chance that accounts as honest as the reference's, drawn as its were, would look so strange.

    The Wilcoxon rank-sum test of each detector's scores against the reference's, one-sided: what makes accounts look
    ordinary (a log shorter than the reference) costs power and accuses nobody. The null: accounts of the log
    and of the reference are exchangeable. Bonferroni over the detectors. ``evaluation`` holds every account; accounts
    accused with a ring are not counted: a harvest is no drift. Source: Wilcoxon (1945), normal approximation.
    """
    ringed = {name for f in evaluation.findings if f.subject_kind == "ring" for name in f.accused}
    ranks: dict[str, list[float]] = {}
    for finding in evaluation.findings:
        if finding.subject_kind == "account" and finding.subject not in ringed:
            for evidence in finding.evidence:
                if evidence.result.name in reference.detectors:
                    ranks.setdefault(evidence.result.name, []).append(evidence.result.p_value)
    each = [_log10_p(np.array(p), reference.detectors[name].known()) for name, p in ranks.items()]
    return min(0.0, min(each, default=0.0) + math.log10(max(len(each), 1)))


def _log10_p(p: FloatArray, n: int) -> float:
    """From p-values (1 + how many of n reference scores are as high) / (n + 1)."""
    m = p.size
    if min(m, n) < LEAST:
        return 0.0
    as_high = np.rint(p * (n + 1) - 1.0)
    below = float((n - as_high).sum())
    z = (below - n * m / 2.0) / math.sqrt(n * m * (n + m + 1) / 12.0)
    return float(special.log_ndtr(-z)) / LN10
