"""From scores and rings to findings: who is spelt out, with which evidence, and what each member is named for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.judge import Scored, accused, pooled, together
from spiritsafe.detect.ring.pairs import LEAST_MEMBERS
from spiritsafe.detect.types import Evaluation, Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spiritsafe.detect.comparable import Comparable
    from spiritsafe.detect.joint import Joint
    from spiritsafe.detect.tenant import Tenant
    from spiritsafe.detect.types import Ring
    from spiritsafe.stats.result import Evidence


@dataclass(frozen=True, eq=False)
class Judged:
    """``scored`` has a row for each of ``names``; ``accounts`` are all that were seen, also those that asked too
    little to be scored: all of them could have been found. ``comparable`` is needed if any ring was found by when its
    members ask.
    """

    names: Sequence[str]
    scored: Sequence[Scored]
    granted: frozenset[str]
    accounts: int
    because: str
    jointly: Joint | None = None
    comparable: Comparable | None = None


def findings(judged: Judged, rings: Sequence[Ring], tenants: Mapping[str, Tenant], notable: float) -> Evaluation:
    """Accounts and rings with at least ``notable`` (log10) in some family."""
    rows = {name: row for row, name in enumerate(judged.names)}
    found = _accounts(judged, tenants, notable)
    tested = judged.accounts
    for ring in rings:
        members = [name for name in ring.accounts if name in rows]
        if len(members) < LEAST_MEMBERS:
            continue
        tested += 1
        evidence = _evidence(judged, ring, rows)
        if max(item.result.log10_e for item in evidence) >= notable:
            who = tuple(ring.reasons) if ring.reasons else accused(ring, _speaking(judged, evidence), rows)
            found.append(_ring(ring, evidence, who, judged.granted, tenants))
    return Evaluation(findings=tuple(found), tested=tested, because=(judged.because,))


def _evidence(judged: Judged, ring: Ring, rows: Mapping[str, int]) -> tuple[Evidence, ...]:
    """That of what the members share, and of the members themselves, pooled as what they were found by allows.

    When and how a ring draws is tested on the ring as a whole; what its members' calls show one by one would only
    dilute that. See docs/decisions/0018-calls.md.
    """
    at = np.array([rows[name] for name in ring.accounts if name in rows], dtype=np.int64)
    asking = [scored for scored in judged.scored if scored.detector.sees == "prompts"]
    seeing = [scored for scored in asking if len(scored.known(at))]
    if ring.basis == "shared":
        return (*(scored.ring(scored.known(at), ring) for scored in seeing), together(ring), *ring.evidence)
    dealt, looks = None, 1
    if ring.basis == "when" and judged.comparable is not None:
        # What compares with nobody can't tell a kind of tenant from a harvest.
        seeing = [scored for scored in seeing if scored.detector.needs_peers]
        parties = [[rows[name] for name in party if name in rows] for party in ring.customers]
        dealt = judged.comparable.deal([np.array(party, dtype=np.int64) for party in parties if party])
        looks = judged.comparable.looks
    return (*ring.evidence, *(pooled(scored, ring, rows, dealt, looks) for scored in seeing))


def _speaking(judged: Judged, evidence: Sequence[Evidence]) -> list[Scored]:
    """The detectors that speak against a ring at all, or all if none does: the others can't clear a member either."""
    against = {item.result.name for item in evidence if item.result.log10_e > 0.0}
    return [scored for scored in judged.scored if scored.detector.name in against] or list(judged.scored)


def _accounts(judged: Judged, tenants: Mapping[str, Tenant], notable: float) -> list[Finding]:
    names, scored = judged.names, judged.scored
    everyone = np.arange(len(names))
    each = [s.log10_e(everyone) for s in scored] + ([judged.jointly.log10_e()] if judged.jointly else [])
    wealth = np.max(each, axis=0) if len(names) and each else np.zeros(0)
    shown = np.flatnonzero(wealth >= notable)
    who = [names[row] for row in shown.tolist()]
    told = [s.accounts(shown, who) for s in scored]
    if judged.jointly is not None:
        told.append([judged.jointly.evidence(row, name) for row, name in zip(shown.tolist(), who, strict=True)])
    return [
        Finding(
            subject=name,
            subject_kind="account",
            accounts=(name,),
            accused=(name,),
            evidence=tuple(item for item in evidence if item is not None),
            models=tuple(sorted(tenants[name].models)),
        )
        for name, evidence in zip(who, zip(*told, strict=True) if who else (), strict=True)
    ]


def _ring(
    ring: Ring,
    evidence: tuple[Evidence, ...],
    who: tuple[str, ...],
    granted: frozenset[str],
    tenants: Mapping[str, Tenant],
) -> Finding:
    accounts = tuple(name for name in ring.accounts if name not in granted)
    return Finding(
        subject=ring.ring_id,
        subject_kind="ring",
        accounts=accounts,
        accused=tuple(name for name in who if name not in granted),
        evidence=evidence,
        models=tuple(sorted(set().union(*(tenants[name].models for name in accounts)))),
        links=ring.links,
        reasons={name: why for name, why in ring.reasons.items() if name not in granted},
    )
