"""What a protocol found, told to people: what a lawyer reads first, what an expert checks next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from spiritsafe.evidence.document import Block, Document, Heading, Points, Table, Text
from spiritsafe.prove.plan import Plan, windows
from spiritsafe.prove.protocol import LIMITS, NAMING, REAL, SUSPECT
from spiritsafe.stats.result import Exact, MonteCarlo

if TYPE_CHECKING:
    from spiritsafe.prove.bundle import Results
    from spiritsafe.stats.result import Result

HEADLINES = {
    "rejects": ("bad", "The suspect was trained on what was served."),
    "does-not-reject": ("", "Nothing shows that the suspect was trained on what was served."),
    "undecided": ("", "Nothing can be concluded."),
}


class Lead(msgspec.Struct, frozen=True, kw_only=True):
    """Something that points somewhere and proves nothing: no randomness of ours is behind it."""

    name: str
    words: str
    score: float
    controls: tuple[float, ...] = ()


def document(plan: Plan, results: Results) -> Document:
    """The report of a bundle."""
    conclusion = results.conclusion
    tone, headline = HEADLINES[conclusion.verdict]
    suspect = results.models[SUSPECT]
    lead = (
        f"Case {plan.case}: {plan.subject}. Asked was {suspect.identity.name} ({suspect.access}), "
        f"beginning {results.asked:%Y-%m-%d %H:%M} UTC, by a plan of {plan.made:%Y-%m-%d %H:%M} UTC."
    )
    blocks: list[Block] = [
        Heading("The finding"),
        Text(_finding(plan, results)),
        Points(conclusion.reasons),
        *_named(conclusion.named),
        Heading("What this does not say"),
        Points(LIMITS),
        Heading("How it was tested"),
        *_how(plan),
        Heading("The numbers"),
        *_numbers(plan, results),
        *_leads(results.leads),
        Heading("How to check it"),
        Text(
            "spiritsafe verify BUNDLE recomputes every number above from the inputs, the keys and what the models "
            "said, offline, and names whatever was changed."
        ),
        Table(("what", "SHA-256 or name"), _marks(plan, results)),
    ]
    return Document(title=f"Case {plan.case}", headline=headline, lead=lead, blocks=tuple(blocks), tone=tone)


def _finding(plan: Plan, results: Results) -> str:
    verdict = results.conclusion.verdict
    if verdict == "rejects":
        return (
            "The suspect agrees with chance that was drawn, committed to and kept secret before what it was put into "
            "was served. If the suspect had never seen what was served, a finding such as this would come about with a "
            f"probability of at most {plan.alpha:g}, the number of tests accounted for."
        )
    if verdict == "does-not-reject":
        return (
            "The tests do not tell the suspect from a model that never saw what was served, at an error rate of "
            f"{plan.alpha:g}."
        )
    return "The tests were run and can't be relied on here, for the reasons below."


def _named(named: tuple[str, ...]) -> list[Block]:
    if not named:
        return []
    words = "Answers to these accounts were among its training data; the chance of naming even one innocent was at most"
    return [Text(f"{words} {NAMING:g}:"), Points(named)]


def _how(plan: Plan) -> list[Block]:
    rule = {
        "fixed": "by p-values, once",
        "anytime": "by e-values, which stay valid however often one looks",
    }[plan.stopping]
    words = (
        f"{len(plan.parts)} tests were fixed beforehand with their inputs, keys, code and order; judged {rule}, at "
        f"level {plan.alpha:g}, with Holm's correction. {plan.controls} control models that can't have seen the data "
        f"and {plan.decoys} keys that were never used were mixed in under other names: none of them may be convicted."
    )
    rows = tuple(
        (
            str(number),
            part.test,
            f"{part.n} {part.unit}",
            window,
            f"{part.published.time:%Y-%m-%d %H:%M}",
            part.published.digest,
        )
        for number, (part, window) in enumerate(zip(plan.parts, windows(plan.parts), strict=True))
    )
    return [Text(words), Table(("no.", "test", "compared", "data left", "key committed", "commitment"), rows)]


def _numbers(plan: Plan, results: Results) -> list[Block]:
    rows, facts, parts = [], [], []
    for cell in results.cells:
        if cell.key != REAL:
            continue
        model = results.models[cell.model]
        who, test = f"{model.role} {model.identity.name}", plan.parts[cell.part].test
        main = cell.outcome.main
        if main is None:
            rows.append((who, test, "-", "-", "-", cell.outcome.words))
            continue
        rows.append((who, test, f"{main.n}", f"{main.p_value:.3g}", f"{main.log10_e:.2f}", _method(main)))
        if cell.model == SUSPECT:
            facts += [f"{test}: {fact}" for fact in main.because]
            parts += [
                (part.subject, f"{part.n}", f"{part.p_value:.3g}", f"{part.log10_e:.2f}") for part in cell.outcome.parts
            ]
    decoys = [c.outcome.main.p_value for c in results.cells if c.key != REAL and c.outcome.main is not None]
    under = (
        f"Under {len(decoys)} decoys the smallest p-value is {min(decoys):.3g}." if decoys else "No decoys were used."
    )
    return [
        Table(("model", "test", "n", "p", "log10 e", "how"), tuple(rows)),
        Points(tuple(facts)),
        Text(under),
        Table(("of", "n", "p", "log10 e"), tuple(parts)),
    ]


def _leads(leads: tuple[Lead, ...]) -> list[Block]:
    if not leads:
        return []
    rows = tuple(
        (lead.name, f"{lead.score:.3f}", ", ".join(f"{c:.3f}" for c in lead.controls) or "-", lead.words)
        for lead in leads
    )
    return [
        Heading("Leads, which prove nothing"),
        Text(
            "What follows rests on no randomness of ours, so no error rate can be given for it. It had no part in the "
            "finding, and must not be added to it."
        ),
        Table(("lead", "suspect", "controls", "what it is"), rows),
    ]


def _marks(plan: Plan, results: Results) -> tuple[tuple[str, str], ...]:
    return (
        ("plan", plan.digest),
        ("code", plan.code),
        ("version", plan.package),
        *((f"inputs of test {number}", part.inputs) for number, part in enumerate(plan.parts)),
        *(
            (f"{m.role} {m.identity.name}", m.identity.digest or f"{m.identity.kind}, no digest")
            for m in results.models
        ),
    )


def _method(result: Result) -> str:
    if isinstance(result.method, Exact):
        return f"exact: {result.method.distribution}"
    return f"{result.method.n} draws" if isinstance(result.method, MonteCarlo) else "conformal"
