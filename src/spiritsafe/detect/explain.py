"""Says of what was found which exchanges weigh most, and which kind of honest tenant it looks most alike.

What is kept of an account is a summary, so its exchanges are read again: only those of subjects that were decided
about, and no more than the limits here. See docs/decisions/0020-explanations.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from spiritsafe.detect.kinds import kinds_of
from spiritsafe.detect.likeness import alike, words
from spiritsafe.detect.peers import Company
from spiritsafe.detect.ring.weights import weights
from spiritsafe.detect.types import Alike, Peers
from spiritsafe.detect.weights import Weighing
from spiritsafe.stats.result import Evidence
from spiritsafe.stats.telling import TOLD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from spiritsafe.detect.again import Again
    from spiritsafe.detect.online import Watch
    from spiritsafe.detect.types import AccountDetector, Finding, FloatArray, IntArray
    from spiritsafe.store.models import Decision

MOST_EACH = 500
"""Exchanges of an account that are read again, its last ones."""

MOST_MEMBERS, MOST_ACCOUNTS = 32, 400
"""Accounts of a ring that are read again, spread over all of them, and accounts in all: the surest findings first."""

_WEIGHED = 8
"""Of a ring's members that were read, those in whom a detector's exchanges are left out one by one."""


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """``evidence`` is the finding's, with what is telling in each piece.

    ``because`` says in words what kind of tenant the subject looks most alike, and what was looked at.
    """

    evidence: tuple[Evidence, ...]
    alike: Alike | None
    because: tuple[str, ...]


def explain(watch: Watch, findings: Sequence[Finding], read: Callable[[Sequence[str]], Again]) -> dict[str, Explained]:
    """One explanation a finding, by its subject. ``read`` reads the last ``MOST_EACH`` exchanges of some accounts."""
    if not findings:
        return {}
    picked = _picked(findings)
    again = read(sorted({name for names in picked.values() for name in names}))
    weighing = _Weighing(watch, again)
    suspects = {name for finding in findings for name in finding.accounts}
    honest = [tenant for name, tenant in watch.tenants.items() if name not in suspects]
    kinds = watch.reference.kinds if watch.reference is not None else kinds_of(watch.detectors, honest)
    examples = honest if watch.reference is None else []
    found = {}
    for finding in findings:
        evidence = tuple(weighing.told(item, finding, picked[finding.subject]) for item in finding.evidence)
        members = [watch.tenants[name] for name in finding.accounts if name in watch.tenants]
        kind = alike(kinds, watch.detectors, members, examples)
        because = (*((words(kind),) if kind is not None else ()), *_limits(finding, picked[finding.subject]))
        found[finding.subject] = Explained(evidence=evidence, alike=kind, because=because)
    return found


def told(decision: Decision, explained: Mapping[str, Explained]) -> Decision:
    """The decision with what explains it: its reasons, the last of which is how to object, and its evidence."""
    found = explained.get(decision.subject)
    if found is None:
        return decision
    reasons = (*decision.reasons[:-1], *found.because, *decision.reasons[-1:])
    return msgspec.structs.replace(decision, reasons=reasons, evidence=found.evidence)


class _Weighing:
    """Weighs the exchanges that were read again."""

    def __init__(self, watch: Watch, again: Again) -> None:
        self._watch, self._again = watch, again
        self._at = {name: again.of(name) for name in again.batch.accounts}
        self._detectors = {d.name: (place, d) for place, d in enumerate(watch.detectors)}
        self._weighings: dict[str, Weighing] = {}
        self._company: dict[str, Company] = {}
        self._table = watch.table()

    def told(self, item: Evidence, finding: Finding, names: Sequence[str]) -> Evidence:
        """A piece of evidence with the exchanges that weigh most in it, if it speaks against the subject at all."""
        mine = [name for name in names if name in self._at]
        if item.result.log10_e <= 0.0 or not mine:
            return item
        held = self._detectors.get(item.result.name)
        if held is None:
            inside = np.isin(self._again.batch.owner, [self._again.batch.accounts.index(name) for name in mine])
            weight = weights(item.result, finding, self._table, self._again.batch)
            weight = None if weight is None else weight * inside
        else:
            weight = self._of_accounts(*held, mine)
        if weight is None or not weight.any():
            return item
        share = weight / weight.sum()
        telling = tuple(self._again.telling(at, float(share[at])) for at in self._first(weight))
        return msgspec.structs.replace(item, telling=telling)

    def _first(self, weight: FloatArray) -> list[int]:
        """The weightiest; of several accounts, one each."""
        order = [at for at in np.argsort(-weight, kind="stable").tolist() if weight[at] > 0.0]
        owner = self._again.batch.owner
        each = list({int(owner[at]): at for at in reversed(order)}.values())
        some = sorted(each, key=lambda at: -weight[at]) if len(each) > 1 else order
        return some[:TOLD]

    def _of_accounts(self, place: int, detector: AccountDetector, names: Sequence[str]) -> FloatArray:
        """How far leaving each exchange out lowers its account's statistic, in those accounts where it is highest."""
        weighing = self._weighings.get(detector.name)
        if weighing is None:  # its features are made of all that was read: once a detector is enough
            weighing = self._weighings[detector.name] = Weighing(detector, self._again.batch)
        company = self._compared(place, detector)
        none = np.zeros(0, dtype=np.int64)
        left_out = {
            name: none if company is None else company.left_out(self._watch.tenants[name])
            for name in names
            if name in self._watch.tenants
        }
        peers = Peers(np.zeros((0, 1), dtype=np.float32)) if company is None else company.peers
        strength = {name: weighing.statistic(self._at[name], peers, absent) for name, absent in left_out.items()}
        found = np.zeros(len(self._again.batch))
        for name in sorted(strength, key=lambda name: -strength[name])[:_WEIGHED]:
            at: IntArray = self._at[name]
            found[at] = weighing.falls(at, peers, left_out[name])
        return found

    def _compared(self, place: int, detector: AccountDetector) -> Company | None:
        if not detector.needs_peers:
            return None
        if detector.name not in self._company:
            watch = self._watch
            self._company[detector.name] = (
                Company.of_log(list(watch.tenants.values()), watch.detectors, place)
                if watch.reference is None
                else Company.of_reference(watch.reference, detector.name)
            )
        return self._company[detector.name]


def _picked(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """Which accounts are read again for each finding: those accused, evenly spread where they are many."""
    picked: dict[str, list[str]] = {finding.subject: [] for finding in findings}
    read: set[str] = set()
    for finding in sorted(findings, key=lambda f: -max(item.result.log10_e for item in f.evidence)):
        names = finding.accused or finding.accounts
        spread = np.linspace(0, len(names) - 1, min(len(names), MOST_MEMBERS)).astype(np.int64)
        wanted = [names[at] for at in spread.tolist()]
        if len(read | set(wanted)) <= MOST_ACCOUNTS:
            read.update(wanted)
            picked[finding.subject] = wanted
    return picked


def _limits(finding: Finding, names: Sequence[str]) -> tuple[str, ...]:
    of = len(finding.accused or finding.accounts)
    if not names:
        return (f"its exchanges were not read again: those of {MOST_ACCOUNTS} accounts with more evidence were",)
    if len(names) < of:
        return (
            f"what weighs most was looked for in the last {MOST_EACH} exchanges of {len(names)} of its {of} accounts",
        )
    return (f"what weighs most was looked for in the last {MOST_EACH} exchanges of {'it' if of == 1 else 'each'}",)
