"""From the reckoning to the report: the affair as plain values, every number taken from the record or the store."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from spiritsafe import __version__
from spiritsafe.drill import account, looks
from spiritsafe.drill.scenario import RING
from spiritsafe.drill.tenants import KINDS
from spiritsafe.evidence.svg import clock
from spiritsafe.evidence.types import Affair, Check, Fact, Kind, Link, Wealth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from spiritsafe.drill.account import Lesson, Outcome, Proof
    from spiritsafe.drill.looks import Look
    from spiritsafe.drill.scenario import Scenario
    from spiritsafe.record.exchange import Exchange
    from spiritsafe.record.verify import Verification
    from spiritsafe.store.models import Decision


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is left when the gateway has stopped: the record, the decisions, the looks, and how it was all set up."""

    scenario: Scenario
    ids: dict[str, str]
    began: datetime
    seconds: float
    exchanges: tuple[Exchange, ...]
    decisions: tuple[Decision, ...]
    looks: tuple[Look, ...]
    verification: Verification
    lesson: Lesson
    proof: Proof | None = None
    answered: int
    fdr: float
    reference: str
    parameters: tuple[tuple[str, str], ...]


def reckon(found: Found) -> Outcome:
    """What came of it."""
    told = account.asked(found.scenario, found.ids, found.exchanges, found.began)
    tokens = sum(exchange.completion_tokens or 0 for exchange in found.exchanges)
    return account.outcome(
        found.scenario,
        found.ids,
        told,
        tokens,
        found.decisions,
        found.began,
        found.seconds,
        judged=found.looks[-1].wealth,
        intact=found.verification.verdict == "intact" and _complete(found),
        lesson=found.lesson,
        proof=found.proof,
    )


def affair(found: Found, outcome: Outcome) -> Affair:
    """Everything that the report shows."""
    names = {account_id: name for name, account_id in found.ids.items()}
    last, links = found.looks[-1], _links(found)
    tokens: dict[str, int] = defaultdict(int)
    for exchange in found.exchanges:
        tokens[exchange.account_id] += exchange.completion_tokens or 0
    told = account.asked(found.scenario, found.ids, found.exchanges, found.began)
    stopped = account.bound(found.decisions, account.SANCTION)
    return Affair(
        title="The affair, played on this machine",
        verdict=verdict(outcome),
        passed=outcome.passed,
        summary=summary(outcome),
        made=f"{found.began:%Y-%m-%d %H:%M} UTC",
        version=__version__,
        seconds=found.seconds,
        corpus=outcome.corpus,
        line=tuple((one.at, looks.line(one, found.fdr)) for one in found.looks if one.tested),
        line_name=f"where the policy acts (false discovery rate {found.fdr:.0%})",
        kinds=(*(Kind(k.name, k.about) for k in KINDS.values()), Kind(RING, "a harvest in disjoint shares", ring=True)),
        facts=_facts(outcome),
        parties=tuple(
            account.parties(
                found.scenario,
                found.ids,
                told,
                tokens,
                stopped,
                _shares(links),
                {f.subject: (looks.against(f), looks.strongest(f)) for f in last.findings if f.subject in names},
            )
        ),
        asked=tuple(told),
        wealth=tuple(_wealth(found, names)),
        links=links,
        rings=tuple(d.accounts for d in found.decisions if d.subject_kind == "ring" and d.action == "suspend"),
        rulings=tuple(account.rulings(found.decisions, names, found.began, found.exchanges)),
        checks=_checks(found),
        assumptions=(found.reference, *ASSUMPTIONS),
        limits=LIMITS,
        parameters=found.parameters,
    )


def verdict(outcome: Outcome) -> str:
    """The headline."""
    if outcome.passed:
        return "The ring was stopped. No honest account was touched."
    return " ".join(outcome.failures) or "Nothing was shown."


def summary(outcome: Outcome) -> str:
    """What happened, in a few sentences."""
    when = "" if outcome.stopped_at is None else f" after {clock(outcome.stopped_at)} minutes"
    if outcome.stopped == outcome.members:
        end = f"All {outcome.members} were suspended{when}"
    else:
        end = f"{outcome.stopped} of them were suspended" if outcome.stopped else "None of them was suspended"
    return (
        f"{outcome.honest} honest accounts and {outcome.members} that worked together talked to one model through the "
        f"gateway for {clock(outcome.seconds)} minutes. The {outcome.members} were after {outcome.corpus} tasks and "
        f"the reasoning to them, in disjoint shares. {end}; {outcome.got} tasks had been answered by the end."
    )


def _facts(outcome: Outcome) -> tuple[Fact, ...]:
    share = outcome.got / outcome.corpus if outcome.corpus else 0.0
    return (
        Fact(f"{outcome.served:,}", "requests answered"),
        Fact(
            f"{outcome.stopped} of {outcome.members}",
            "ring accounts stopped",
            "good" if outcome.stopped == outcome.members else "bad",
        ),
        Fact(
            f"{outcome.touched} of {outcome.honest}",
            "honest accounts touched",
            "good" if not outcome.touched else "bad",
        ),
        Fact(f"{outcome.refused:,}", "requests refused"),
        Fact(f"{share:.0%}", "of its corpus the ring got"),
        Fact(
            f"{outcome.lesson.answers}",
            "answers to a licensed laboratory",
            "good" if outcome.lesson.passed else "bad",
        ),
        Fact("intact" if outcome.record_intact else "broken", "the record", "good" if outcome.record_intact else "bad"),
    )


def _wealth(found: Found, names: Mapping[str, str]) -> list[Wealth]:
    members = {found.ids[actor.name] for actor in found.scenario.actors if actor.kind == RING}
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    rings: dict[str, tuple[str, ...]] = {}
    for one in found.looks:
        for subject, value in one.wealth.items():
            points[subject].append((one.at, value))
        rings |= {ring.subject: ring.accounts for ring in one.rings}
    told = []
    for subject, line in points.items():
        if subject in names:
            told.append(Wealth(subject, names[subject], "member" if subject in members else "honest", tuple(line)))
        else:
            guilty = set(rings[subject]) & members
            told.append(Wealth(subject, f"{len(rings[subject])} linked", "ring" if guilty else "honest", tuple(line)))
    return told


def _links(found: Found) -> tuple[Link, ...]:
    """The cards and the networks that the record shows more than one account on."""
    users: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for exchange in found.exchanges:
        for kind, value in (("card", exchange.payment), ("network", exchange.ip_prefix)):
            if value is not None:
                users[kind, value][exchange.account_id] = None
    return tuple(Link(kind, tuple(accounts)) for (kind, _), accounts in users.items() if len(accounts) > 1)


def _shares(links: Sequence[Link]) -> dict[str, tuple[str, ...]]:
    shares: dict[str, list[str]] = defaultdict(list)
    for link in links:
        for account_id in link.accounts:
            shares[account_id].append(f"{link.kind} with {len(link.accounts) - 1}")
    return {account_id: tuple(sorted(what)) for account_id, what in shares.items()}


def _complete(found: Found) -> bool:
    """Whether every answer that a client got stands in the record."""
    return sum(account.result(exchange.status) == "served" for exchange in found.exchanges) >= found.answered


def _checks(found: Found) -> tuple[Check, ...]:
    checked = found.verification
    files = f"{checked.segments} sealed segments and {checked.journals} journals"
    detail = f"{checked.rows} rows in {files}, the last link {checked.link[:16]}"
    if checked.problem is not None:
        detail = f"{checked.problem.where}: {checked.problem.message}"
    recorded = sum(account.result(exchange.status) == "served" for exchange in found.exchanges)
    return (
        Check("The chain from the first row to the last", checked.verdict == "intact", detail),
        Check(
            "Signatures",
            checked.verdict == "intact",
            f"{checked.signed} of {checked.rows} rows are covered by a signature of key {checked.key[:16]}",
        ),
        Check(
            "Every answer that a client got stands in the record",
            _complete(found),
            f"clients counted {found.answered} answers, the record has {recorded}",
        ),
        Check(
            "The laboratory that distilled under a grant was served and not hindered",
            not found.lesson.hindered and found.lesson.answers > 0 and not found.lesson.stray,
            f"{found.lesson.answers} answers under its grant, {found.lesson.stray} without",
        ),
        Check(
            "Its student's lineage verifies: terms, grant, answers, weights",
            not found.lesson.problems,
            "; ".join(found.lesson.problems) or _retained(found.lesson),
        ),
        *_proof_checks(found.proof),
    )


def _proof_checks(proof: Proof | None) -> tuple[Check, ...]:
    """What the proof showed, where one was conducted."""
    if proof is None:
        return ()
    p, innocent = (_p(value) for value in (proof.p_value, proof.innocent_p_value))
    named = f"; accounts named: {len(proof.named)}" if proof.named else ""
    return (
        Check(
            "A student trained on what the ring got is convicted, an innocent one is not",
            proof.passed,
            f"{proof.verdict}: p {p} over {proof.pairs} pairs of answers, the innocent one {innocent}{named}",
        ),
        Check(
            "The bundle of the proof verifies, every number computed again",
            not proof.problems,
            "; ".join(proof.problems) or proof.bundle,
        ),
    )


def _p(value: float | None) -> str:
    return "not given" if value is None else f"{value:.2g}"


def _retained(lesson: Lesson) -> str:
    """What its student kept, in words."""
    if lesson.kept is None:
        return "retention was not measured"
    between = "" if lesson.interval is None else f" ({lesson.interval[0]:.2f} to {lesson.interval[1]:.2f})"
    before = "" if lesson.before is None else f"; {lesson.before:.2f} before training"
    return f"its student kept {lesson.kept:.2f}{between} of the teacher's likelihood on held-out prompts{before}"


def _paragraphs(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.strip().split("\n\n"))


ASSUMPTIONS = _paragraphs("""
Every prompt here, honest or not, was drawn from grammars written for this project. No person's text is in it.

The ring hides its harvest among ordinary questions and spreads over several cards and networks. It does not vary
its wording to evade, as a ring that knows the detectors might.

To suspend a ring takes a person. The drill plays that person, who confirms whatever the policy proposes, whoever
it concerns: a wrong proposal would have become a wrong sanction here.

Client addresses come from the header of a trusted proxy, as in a real deployment. Here the actors set it themselves.
""")

LIMITS = _paragraphs("""
It shows that the parts work together, not how often they err: that takes many rings, many seeds and real traffic.

The model is a small one, since it has to run anywhere. Nothing here depends on how good its answers are.

What was answered before the ring was stopped is gone. Whether a student was trained on it is another question,
which marks and withheld twins are there to answer.

To be unlike the rest is not to be guilty. The evidence says that these accounts, together, ask and phrase as no
honest ones do. Why they do so is for a person to find out, and there is a way to appeal.
""")
