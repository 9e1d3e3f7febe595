"""Looks at the evidence: the watcher's own detectors on the same record, so that the drill can show what it sees."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from spiritsafe.detect.online import Watch
from spiritsafe.policy.weigh import by_family, from_families
from spiritsafe.stats.multiple import e_bh

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from spiritsafe.detect.reference import Reference
    from spiritsafe.detect.types import Finding
    from spiritsafe.record.exchange import Exchange

FAMILIES = 2
"""What the policy asks for: evidence from at least so many independent families."""

LOWEST = -300.0


class Look(msgspec.Struct, frozen=True):
    """What was known ``at`` (seconds from the start) of each subject that could be judged by then."""

    at: float
    findings: tuple[Finding, ...]
    tested: int

    @property
    def rings(self) -> tuple[Finding, ...]:
        """The sets of linked accounts, convicted or not."""
        return tuple(finding for finding in self.findings if finding.subject_kind == "ring")

    @property
    def wealth(self) -> dict[str, float]:
        """log10 of the evidence from two families against each subject, by its id."""
        return {finding.subject: against(finding) for finding in self.findings}


def against(finding: Finding) -> float:
    """log10 of the e-value on which the policy decides about this subject."""
    return max(from_families(by_family(finding.evidence), FAMILIES), LOWEST)


def strongest(finding: Finding) -> str:
    """What speaks most against a subject, in the detector's own words."""
    evidence = max(finding.evidence, key=lambda one: one.result.log10_e)
    return evidence.result.because[0] if evidence.result.because else ""


def line(look: Look, fdr: float) -> float:
    """The log10 e that a subject needed at that look: e-BH over all that were tested, at false discovery rate ``fdr``.

    With m tested and k picked it is m / (k fdr); the more are picked, the lower it lies.
    """
    logs = [*look.wealth.values(), *[LOWEST] * (look.tested - len(look.findings))]
    picked = int(e_bh(logs, fdr).rejected.sum()) if logs else 0
    return math.log10(max(look.tested, 1) / (fdr * max(picked, 1)))


def look(watch: Watch, at: float) -> Look:
    """Everything that the watch can say now; nothing before the first account has asked enough."""
    if not any(tenant.windows(watch.detectors) for tenant in watch.tenants.values()):
        return Look(at, (), 0)
    found = watch.evaluate(notable=LOWEST)
    return Look(at, found.findings, found.tested)


def replay(exchanges: Sequence[Exchange], reference: Reference, began: datetime, times: Sequence[float]) -> list[Look]:
    """The looks that a watch would have had at ``times`` (rising, seconds from ``began``), from the record alone."""
    watch = Watch(reference)
    ordered = sorted(exchanges, key=lambda exchange: exchange.time)
    looks, start = [], 0
    for at in times:
        end = start
        while end < len(ordered) and (ordered[end].time - began).total_seconds() <= at:
            end += 1
        watch.learn(ordered[start:end])
        start = end
        looks.append(look(watch, at))
    return looks
