"""The reckoning: who was in the ring, against what the record and the store say happened to whom."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from spiritsafe.drill.scenario import RING
from spiritsafe.evidence.types import Asked, Party, Quote, Ruling
from spiritsafe.record.exchange import prompt_text
from spiritsafe.stats.telling import weightiest
from spiritsafe.store.models import strictness

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from spiritsafe.drill.scenario import Scenario
    from spiritsafe.record.exchange import Exchange
    from spiritsafe.stats.result import Evidence, Telling
    from spiritsafe.store.models import Decision

SANCTION = strictness("verify")
"""From this rung on an account is hindered; to observe and to notify are not."""

QUOTED = 300
"""Characters of an exchange that the report quotes."""

STOP = strictness("suspend")
"""From this rung on an account gets no answer at all."""


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. ``answers`` were recorded under the grant, ``stray`` without; ``kept`` is the student's
    retention of the teacher's likelihood with its interval, ``before`` that of the untrained student; ``problems`` are
    what its lineage failed at.
    """

    account_id: str
    answers: int
    stray: int
    hindered: bool
    kept: float | None
    interval: tuple[float, float] | None
    before: float | None
    student: str
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """It was served, not hindered, and its student's lineage verifies."""
        return self.answers > 0 and not self.stray and not self.hindered and not self.problems


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What the proof came to: the verdict on the ring's student over ``pairs`` of answers, the p-values of it and of
    the innocent one, the accounts ``named``, and what the bundle's verification found wrong.
    """

    verdict: str
    reasons: tuple[str, ...]
    pairs: int
    p_value: float | None
    innocent_p_value: float | None
    alpha: float
    named: tuple[str, ...]
    bundle: str
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """The ring's student is convicted, the innocent one is not, and the bundle verifies."""
        innocent = self.innocent_p_value is not None and self.innocent_p_value > self.alpha
        return self.verdict == "rejects" and innocent and not self.problems


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it, in counts. ``touched`` are honest accounts that a decision in force hindered, ``judged`` the
    ring members that asked enough to be judged at all.
    """

    members: int
    stopped: int
    honest: int
    touched: int
    served: int
    refused: int
    failed: int
    tokens: int
    corpus: int
    got: int
    wanted: int
    stopped_at: float | None
    judged: int
    record_intact: bool
    seconds: float
    lesson: Lesson
    proof: Proof | None = None

    @property
    def passed(self) -> bool:
        """Every member stopped, nobody honest touched, the licensed tenant served, the record whole."""
        caught = self.members > 0 and self.stopped == self.members
        lawful = self.touched == 0 and self.lesson.passed
        return caught and lawful and self.record_intact and (self.proof is None or self.proof.passed)

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed, each in a sentence; empty when nothing did."""
        said = []
        if self.stopped == 0:
            said.append("The ring was not stopped.")
        elif self.stopped < self.members:
            said.append(f"Only {self.stopped} of {self.members} ring members were stopped.")
        if self.stopped < self.members and self.judged < self.members:
            said.append(
                f"The machine was too slow: when the time was up, {self.judged} of {self.members} members had asked "
                "enough to be judged."
            )
        if self.touched:
            said.append(f"{self.touched} of {self.honest} honest accounts were sanctioned.")
        if not self.record_intact:
            said.append("The record is broken.")
        if self.lesson.hindered or self.lesson.stray or not self.lesson.answers:
            said.append("The licensed laboratory was hindered.")
        said += [f"The laboratory's student: {problem}." for problem in self.lesson.problems]
        if self.proof is not None and not self.proof.passed:
            said.append(f"The proof failed: {self.proof.verdict}; {'; '.join(self.proof.reasons)}.")
        return tuple(said)


def asked(scenario: Scenario, ids: Mapping[str, str], exchanges: Iterable[Exchange], began: datetime) -> list[Asked]:
    """Every request in the record: when, by whom, with what result, and which of the ring's tasks it was."""
    members = {ids[actor.name] for actor in scenario.actors if actor.kind == RING}
    places = {task.prompt: place for place, task in enumerate(scenario.corpus)}
    told = []
    for exchange in exchanges:
        last = exchange.messages[-1].content if exchange.messages else None
        place = places.get(last) if exchange.account_id in members and isinstance(last, str) else None
        at = (exchange.time - began).total_seconds()
        told.append(Asked(max(0.0, at), exchange.account_id, result(exchange.status), place))
    return told


def result(status: int | None) -> str:
    """``served``, ``refused`` (forbidden or limited) or ``failed``, by an exchange's HTTP status."""
    if status is None or status < 400:
        return "served"
    return "refused" if status in (403, 429) else "failed"


def bound(decisions: Iterable[Decision], rung: int) -> dict[str, Decision]:
    """The accounts that a decision in force at least as strict as ``rung`` binds, with the strictest one."""
    found: dict[str, Decision] = {}
    for decision in sorted(decisions, key=lambda d: strictness(d.action)):
        if decision.status == "in_force" and strictness(decision.action) >= rung:
            found.update((account, decision) for account in decision.accounts if account not in decision.released)
    return found


def confirmed_at(decision: Decision, began: datetime) -> float | None:
    """When a person put it in force, in seconds; None if none did."""
    times = [event.time for event in decision.events if event.kind == "confirmed"]
    return (times[0] - began).total_seconds() if times else None


def rulings(
    decisions: Iterable[Decision], names: Mapping[str, str], began: datetime, exchanges: Iterable[Exchange] = ()
) -> list[Ruling]:
    """The decisions for the report, by when they came into force; accounts by their names.

    What only grew (the same rule and step about the same ring, with more accounts) is told once, and so is a step
    that several accounts had each for itself. What weighs most in one is quoted from ``exchanges``.
    """
    alike: dict[tuple[str, ...], list[Decision]] = defaultdict(list)
    for decision in sorted(decisions, key=lambda d: d.time):
        of_ring = (decision.subject,) if decision.subject_kind == "ring" else ()
        alike[(decision.rule, decision.action, *of_ring)].append(decision)
    asked = {exchange.exchange_id: exchange for exchange in exchanges}
    told = [_ruling(group, names, began, asked) for group in alike.values()]
    return sorted(told, key=lambda ruling: ruling.confirmed or ruling.at)


def _ruling(group: list[Decision], names: Mapping[str, str], began: datetime, asked: Mapping[str, Exchange]) -> Ruling:
    first, last = group[0], group[-1]
    accounts = tuple(dict.fromkeys(account for decision in group for account in decision.accounts))
    if last.subject_kind == "ring":
        subject = f"a ring of {len(accounts)}"
    else:
        subject = (
            names.get(last.subject, last.subject) if len(accounts) == 1 else f"{len(accounts)} accounts, each alone"
        )
    confirmed = [at for decision in group if (at := confirmed_at(decision, began)) is not None]
    people = [event.by for decision in group for event in decision.events if event.kind == "confirmed"]
    return Ruling(
        at=(first.time - began).total_seconds(),
        subject=subject,
        action=last.action,
        status=last.status,
        rule=last.rule,
        by=people[0] if people else last.by,
        accounts=accounts,
        reasons=last.reasons,
        evidence=tuple(words(one) for one in last.evidence),
        confirmed=min(confirmed) if confirmed else None,
        again=len(group) - 1 if last.subject_kind == "ring" else 0,
        telling=tuple(_quote(one, by, asked, began) for one, by in weightiest(last.evidence)),
    )


def _quote(one: Telling, by: tuple[str, ...], asked: Mapping[str, Exchange], began: datetime) -> Quote:
    exchange = asked.get(one.exchange_id or "")
    text = prompt_text(exchange) if exchange is not None else None
    at = (one.time - began).total_seconds() if one.time is not None else None
    return Quote(at, one.account_id, text and text[:QUOTED], by)


def words(evidence: Evidence) -> str:
    """One piece of evidence in a line of numbers; the facts behind it stand among the reasons."""
    found = evidence.result
    return (
        f"{evidence.family}, by {found.name} version {found.version}: log10 e {found.log10_e:.2f}, "
        f"p {found.p_value:.2g}, over {found.n} {found.unit}"
    )


def parties(
    scenario: Scenario,
    ids: Mapping[str, str],
    told: Sequence[Asked],
    tokens: Mapping[str, int],
    stopped: Iterable[str],
    shares: Mapping[str, tuple[str, ...]],
    against: Mapping[str, tuple[float, str]],
) -> list[Party]:
    """Every account with what it did; ``against`` has what speaks against it: log10 e, and the strongest in words."""
    outcomes: dict[str, list[str]] = defaultdict(list)
    for one in told:
        outcomes[one.party].append(one.outcome)
    caught = set(stopped)
    made = []
    for actor in scenario.actors:
        account_id = ids[actor.name]
        mine, (worth, why) = outcomes[account_id], against.get(account_id, (None, "too few distinct prompts to judge"))
        made.append(
            Party(
                party=account_id,
                name=actor.name,
                kind=actor.kind,
                caught=account_id in caught,
                asked=len(mine),
                served=mine.count("served"),
                refused=mine.count("refused"),
                failed=mine.count("failed"),
                tokens=tokens.get(account_id, 0),
                shares=shares.get(account_id, ()),
                log10_e=worth,
                worst=why,
            )
        )
    return made


def outcome(
    scenario: Scenario,
    ids: Mapping[str, str],
    told: Sequence[Asked],
    tokens: int,
    decisions: Sequence[Decision],
    began: datetime,
    seconds: float,
    *,
    judged: Iterable[str],
    intact: bool,
    lesson: Lesson,
    proof: Proof | None = None,
) -> Outcome:
    """Hold what happened against who everybody was."""
    members = {ids[actor.name] for actor in scenario.actors if actor.kind == RING}
    honest = {ids[actor.name] for actor in scenario.actors} - members
    stopped, hindered = bound(decisions, STOP), bound(decisions, SANCTION)
    sought = {one.place for one in told if one.place is not None}
    got = {one.place for one in told if one.place is not None and one.outcome == "served"}
    since = [
        at if (at := confirmed_at(decision, began)) is not None else (decision.time - began).total_seconds()
        for account, decision in stopped.items()
        if account in members
    ]
    counts = [one.outcome for one in told]
    return Outcome(
        members=len(members),
        stopped=len(members & stopped.keys()),
        honest=len(honest),
        touched=len(honest & hindered.keys()),
        served=counts.count("served"),
        refused=counts.count("refused"),
        failed=counts.count("failed"),
        tokens=tokens,
        corpus=len(scenario.corpus),
        got=len(got),
        wanted=len(sought),
        stopped_at=max(since) if since and members <= stopped.keys() else None,
        judged=len(members.intersection(judged)),
        record_intact=intact,
        seconds=seconds,
        lesson=lesson,
        proof=proof,
    )
