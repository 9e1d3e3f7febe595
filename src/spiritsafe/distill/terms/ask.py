"""May I distil from it: the terms that hold for a name, put together, with reasons."""

from __future__ import annotations

from datetime import date

from spiritsafe.distill.terms.match import Match, close, find
from spiritsafe.distill.terms.registry import Registry
from spiritsafe.distill.terms.types import PURPOSES, STRICTNESS, Answer, Applied, Purpose, Terms, Verdict
from spiritsafe.errors import UsageError


def as_purpose(text: str) -> Purpose:
    """``text`` as a purpose; raises ``UsageError`` with what each valid one means."""
    for purpose in PURPOSES:
        if text == purpose:
            return purpose
    meanings = "; ".join(f"{name}: {what}" for name, what in PURPOSES.items())
    raise UsageError(f"no purpose is called {text!r}", remedy=f"Valid purposes: {meanings}.")


def ask(name: str, registry: Registry, *, purpose: Purpose = "student", via: str | None = None) -> Answer:
    """The strictest of all terms that hold for ``name``, reached through the host ``via`` if that is given.

    A name that the registry does not know is ``unknown``, never allowed; so is a version newer than its entries.
    """
    matches = find(name, registry.models)
    suggestions = () if matches else close(name, registry.models)
    reasons: list[str] = [] if matches else [f"the registry does not know {name!r}"]
    verdict: Verdict = "allowed" if matches else "unknown"
    if via is not None:
        hosts = [m for m in find(via, registry.models) if registry.terms[m.model.terms].reach == "api"]
        if not hosts:
            near = ", ".join(close(via, registry.models)) or "spiritsafe terms --list"
            raise UsageError(f"the registry knows no host {via!r}", remedy=f"Close: {near}.")
        # Called through a host, a model is not run under its hosted sibling's terms, but weights' licences stay.
        matches = [m for m in matches if registry.terms[m.model.terms].reach == "weights"] + hosts
    applied: list[Applied] = []
    conditions: list[str] = []
    notes: list[str] = []
    for match in matches:
        terms = registry.terms[match.model.terms]
        one = _apply(match, terms, purpose)
        applied.append(one)
        reasons += _reasons(match, terms, one.verdict)
        if one.verdict != "forbidden":
            conditions += [c.condition for c in terms.clauses if c.condition]
        notes += [n for n in (match.model.note, terms.note) if n]
        verdict = max(verdict, one.verdict, key=STRICTNESS.index)
    days = [a.source.read for a in applied if a.source.read is not None]
    return Answer(
        name=name,
        purpose=purpose,
        verdict=verdict,
        reasons=tuple(dict.fromkeys(reasons)),
        conditions=() if verdict == "forbidden" else tuple(dict.fromkeys(conditions)),
        applied=tuple(applied),
        verified=bool(matches) and all(_verified(m, registry.terms[m.model.terms]) for m in matches),
        as_of=min(days, default=None),
        suggestions=suggestions,
        notes=tuple(dict.fromkeys(notes)),
    )


def needs_grant(answer: Answer) -> bool:
    """Whether a signed permission is needed before the first request."""
    return answer.verdict in ("forbidden", "unknown")


def oldest(answer: Answer, today: date) -> int | None:
    """Days since the oldest of the answer's sources was read; None if none was."""
    return None if answer.as_of is None else (today - answer.as_of).days


def _apply(match: Match, terms: Terms, purpose: Purpose) -> Applied:
    verdict = terms.verdict_for(purpose)
    if match.other_version is not None:
        verdict = max(verdict, "unknown", key=STRICTNESS.index)
    return Applied(
        terms=terms.id,
        name=terms.name,
        because=f"{match.name!r} stands for {match.model.name}",
        verdict=verdict,
        source=terms.source,
        section=tuple(c.section for c in terms.clauses if c.section),
    )


def _reasons(match: Match, terms: Terms, verdict: Verdict) -> list[str]:
    if match.other_version is not None and terms.verdict != "forbidden":
        return [f"the registry knows {match.model.name}, but not version {match.other_version}: read its own terms"]
    found = []
    for clause in terms.clauses:
        if verdict == "forbidden" and not (clause.forbids or clause.exception):
            continue
        section = f", {clause.section}" if clause.section else ""
        text = f"{terms.name}{section}: {clause.what}"
        if clause.forbids and verdict == "forbidden":
            text += f" Forbids {clause.forbids}."
        if clause.exception:
            text += f" Excepted: {clause.exception}."
        found.append(text)
    return found or [f"{terms.name}: {terms.clauses[0].what}"]


def _verified(match: Match, terms: Terms) -> bool:
    return "recollection, unverified" not in (match.model.basis, terms.source.basis)
