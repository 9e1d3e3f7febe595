"""From evidence to decisions: a pure function of what was found, who holds a grant, the rules and the time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from spiritsafe.policy.weigh import by_family, families_in, from_families
from spiritsafe.stats.multiple import e_bh
from spiritsafe.stats.result import JOINTLY
from spiritsafe.store.models import Decision, Grant, SubjectKind, strictness

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from spiritsafe.policy.rules import Rule, Rules
    from spiritsafe.stats.result import Evidence
    from spiritsafe.store.models import Action


class Subject(Protocol):
    """What policy needs to know of a finding; ``detect.types.Finding`` is one."""

    @property
    def subject(self) -> str:
        """Its id."""

    @property
    def subject_kind(self) -> SubjectKind:
        """``account`` or ``ring``."""

    @property
    def accounts(self) -> tuple[str, ...]:
        """All accounts that it covers."""

    @property
    def accused(self) -> tuple[str, ...]:
        """Those whose own evidence points the same way."""

    @property
    def models(self) -> tuple[str, ...]:
        """The models asked for; an empty name where the record has none."""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """One item a detector."""


@dataclass(frozen=True)
class Weighed:
    """A subject with its evidence a family (log10). ``permitted`` are its accounts that hold a grant for all of it."""

    subject: Subject
    weights: Mapping[str, float]
    permitted: Mapping[str, Grant]

    @property
    def accused(self) -> tuple[str, ...]:
        """The accounts that a decision would cover."""
        return tuple(name for name in self.subject.accused if name not in self.permitted)


def decide(
    subjects: Sequence[Subject], grants: Sequence[Grant], rules: Rules, now: datetime, *, tested: int | None = None
) -> list[Decision]:
    """One decision a subject that a rule fits, two where a step waits for a person and another holds meanwhile.

    Grants are read before any score: an account whose grant covers all that it asked for is not decided about, and
    no ring is held against it. ``tested`` counts all subjects that were looked at, also those not worth mentioning;
    the false discovery rate is over all of them.
    """
    weighed = [weigh(subject, grants, rules, now) for subject in subjects]
    weighed = [each for each in weighed if each.accused]
    hidden = max((tested or 0) - len(subjects), 0)
    certain = {
        families: _certain(weighed, families, rules.fdr, hidden)
        for families in {_sure_by(rule) for rule in rules.rules if rule.certain}
    }
    made: list[Decision] = []
    for place, each in enumerate(weighed):
        for rule in rules.rules:
            if _fits(rule, each, sure=rule.certain is None or certain[_sure_by(rule)][place]):
                made += _decisions(rule, rules, each, now)
                break
    return made


def weigh(subject: Subject, grants: Sequence[Grant], rules: Rules, now: datetime) -> Weighed:
    """Read the grants, then the evidence."""
    permitted = {
        grant.account_id: grant
        for grant in grants
        if grant.account_id in subject.accounts and permits(grant, subject.models, rules, now)
    }
    return Weighed(subject, by_family(subject.evidence), permitted)


def permits(grant: Grant, models: Sequence[str], rules: Rules, now: datetime) -> bool:
    """Whether a grant is for a permitting purpose, live, and covers every model asked for.

    A record that names no model is read in the account's favour.
    """
    if grant.purpose not in rules.purposes or not grant.live(now):
        return False
    return all(grant.covers(model, now) for model in models if model)


def accuses(action: Action, rules: Rules) -> bool:
    """Whether a step of the ladder is an accusation."""
    return strictness(action) >= strictness(rules.accuses_from)


def changes(decisions: Sequence[Decision], known: Sequence[Decision]) -> list[Decision]:
    """Those decisions that say something new: another rule, another step, or an account more than a decision that is
    known (pending, in force, or reversed by a person) about the same subject. What a person reversed stays so.
    """
    covered: dict[tuple[str, str, str], set[str]] = {}
    for decision in known:
        if decision.status != "expired":
            key = (decision.subject, decision.rule, decision.action)
            covered.setdefault(key, set()).update(decision.accounts)
    return [d for d in decisions if not set(d.accounts) <= covered.get((d.subject, d.rule, d.action), set())]


def _certain(weighed: Sequence[Weighed], families: int, fdr: float, hidden: int) -> list[bool]:
    """Which subjects e-BH picks. Those that nobody mentioned count with an e-value of 0."""
    logs = [from_families(each.weights, families) for each in weighed]
    rejected = e_bh([*logs, *[-1e300] * hidden], fdr).rejected
    return [bool(yes) for yes in rejected[: len(weighed)]]


def _sure_by(rule: Rule) -> int:
    """From how many families the evidence is that must be certain."""
    return rule.families if rule.log10_e is None else 1


def _fits(rule: Rule, each: Weighed, *, sure: bool) -> bool:
    if rule.subject not in ("any", each.subject.subject_kind):
        return False
    if rule.and_any_of and max(each.weights.get(f, -1e300) for f in rule.and_any_of) < rule.and_log10_e:
        return False
    if not sure or rule.log10_e is None:
        return sure
    # Fewer families than asked for make no evidence, whatever the threshold.
    return families_in(each.weights) >= rule.families and from_families(each.weights, rule.families) >= rule.log10_e


def _decisions(rule: Rule, rules: Rules, each: Weighed, now: datetime) -> list[Decision]:
    decided = [_decision(rule, rules, each, now, rule.action, waits=rule.needs_person)]
    if rule.meanwhile is not None:
        decided.append(_decision(rule, rules, each, now, rule.meanwhile, waits=False))
    return decided


def _decision(rule: Rule, rules: Rules, each: Weighed, now: datetime, action: Action, *, waits: bool) -> Decision:
    subject = each.subject
    told = "\0".join((subject.subject, rule.name, action, now.isoformat(), *each.accused))
    name = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
    return Decision(
        decision_id=f"dec-{name}",
        time=now,
        subject=subject.subject,
        subject_kind=subject.subject_kind,
        accounts=each.accused,
        action=action,
        rule=rule.name,
        reasons=_reasons(rule, rules, each),
        evidence=subject.evidence,
        by=f"policy:{rules.digest()}",
        status="pending" if waits else "in_force",
        needs_person=waits,
        expires=now + rule.lasts(),
    )


def _reasons(rule: Rule, rules: Rules, each: Weighed) -> tuple[str, ...]:
    """Why, in words: the evidence a family, what it rests on, who was left out and why, and how to object."""
    subject = each.subject
    strong = sorted(((f, w) for f, w in each.weights.items() if f != JOINTLY), key=lambda item: -item[1])
    together = from_families(each.weights, rule.families)
    named = ", ".join(f"{family} 10^{weight:.1f}" for family, weight in strong)
    known = families_in(each.weights)
    reasons = [f"evidence from at least {rule.families} of {known} families: 10^{together:.1f} to 1 ({named})"]
    reasons += [fact for item in subject.evidence for fact in item.result.because]
    reasons += [f"{name} holds grant {grant.grant_id} and is left out" for name, grant in each.permitted.items()]
    bystanders = len(subject.accounts) - len(each.accused) - len(each.permitted)
    if bystanders:
        reasons.append(f"{bystanders} linked accounts are left out: nothing of their own speaks against them")
    return (*reasons, rules.appeal)
