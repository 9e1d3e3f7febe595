"""A protocol: commit to a plan, run it blind, conclude by its rule, and say what the conclusion does not mean.

1. Commit: ``plan.make_plan``; its digest is published, and stamped where there is an authority.
2. Run (``run``): every model, suspect and controls, is measured on every test before any key is touched, in an order
   drawn by the seed. Then each measurement is judged under the real key and under decoys that were never used, again
   in drawn order, models under aliases.
3. Conclude (``conclude``): Holm's correction over the suspect's tests. If a control is convicted too, or the suspect
   is under a decoy, something else than the key speaks, and nothing is concluded.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Literal

import msgspec

from spiritsafe.prove.instruments.types import Instrument, Outcome
from spiritsafe.prove.plan import Plan
from spiritsafe.prove.suspect import Suspect
from spiritsafe.stats.evalues import e_to_p
from spiritsafe.stats.logs import p_from_log10
from spiritsafe.stats.multiple import holm
from spiritsafe.stats.result import Result

Verdict = Literal["rejects", "does-not-reject", "undecided"]
REAL = 0
SUSPECT = 0
NAMING = 1e-3
"""The chance of naming even one innocent tenant is at most this, whatever the level of the verdict."""

EXPOSURE = """What is shown is exposure: the suspect's training data held, or was made from, what was served. Not how
it came there, nor who meant it to."""
SPOOFING = """Spoofing is to be excluded: somebody may feed a model with our answers to frame its maker. Ask for the
training data's provenance."""
LEAKAGE = """Public leakage is to be excluded: an answer that a tenant published may reach a model by way of a crawl.
Look for the served texts in public corpora."""
SECRECY = """The error rate rests on the coin alone: on the key having been secret until the suspect was asked, and
committed to before the data left."""
TIME = "A time that no stamping authority vouches for is the word of whoever made this bundle."
ACQUITTAL = "Not to reject is no acquittal: too few pairs, a short training or much other data hide what happened."
LIMITS = tuple(" ".join(limit.split()) for limit in (EXPOSURE, SPOOFING, LEAKAGE, SECRECY, TIME, ACQUITTAL))


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One test of one model under one key. Model 0 is the suspect, the others controls; key 0 the real one, the others
    decoys.
    """

    model: int
    part: int
    key: int
    outcome: Outcome


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one test of the suspect. ``adjusted`` is corrected for the number of tests."""

    part: int
    test: str
    p_value: float
    log10_e: float
    adjusted: float
    rejected: bool


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict, and why. ``named`` are tenants whose answers the suspect was fed, corrected for their number
    at ``NAMING``; only where the test itself rejects.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    lines: tuple[Line, ...]
    named: tuple[str, ...] = ()


def run(
    plan: Plan,
    instruments: Sequence[Instrument],
    secrets: Sequence[bytes],
    ask: Callable[[int, int], tuple[Suspect, Suspect | None]],
) -> tuple[Cell, ...]:
    """All cells of the plan. ``ask`` gives, for a model and a part, who is asked and the reference."""
    dice = Random(f"protocol:{plan.seed}")  # noqa: S311 - the order is published; no secret hangs on it
    models, parts = range(plan.controls + 1), range(len(plan.parts))
    places = [(model, part) for model in models for part in parts]
    dice.shuffle(places)
    measured: dict[tuple[int, int], Any] = {}
    for model, part in places:
        measured[model, part] = instruments[part].measure(*ask(model, part))
    aliases = _aliases(len(models), dice)
    cells = [(model, part, key) for model, part in places for key in range(plan.decoys + 1)]
    dice.shuffle(cells)
    found = []
    for model, part, key in cells:
        secret = secrets[part] if key == REAL else decoy(plan, part, key)
        outcome = instruments[part].judge(measured[model, part], secret, aliases[model])
        found.append(Cell(model=model, part=part, key=key, outcome=_timeless(outcome)))
    return tuple(sorted(found, key=lambda cell: (cell.model, cell.part, cell.key)))


def decoy(plan: Plan, part: int, key: int) -> bytes:
    """A key that was never used: anybody can make it from the plan."""
    published = plan.parts[part].published.digest
    return hashlib.sha256(f"spiritsafe-decoy-1:{plan.seed}:{part}:{key}:{published}".encode()).digest()


def conclude(plan: Plan, cells: Sequence[Cell]) -> Conclusion:
    """The verdict by the plan's rule."""
    own = [cell for cell in cells if cell.model == SUSPECT and cell.key == REAL]
    lines = _lines(plan, own)
    short = tuple(f"{plan.parts[cell.part].test}: {cell.outcome.words}" for cell in own if cell.outcome.main is None)
    if not lines:
        return Conclusion(verdict="undecided", reasons=short or ("there is nothing to test",), lines=())
    wrong = (*_alarms(plan, cells, "control"), *_alarms(plan, cells, "decoy"))
    if wrong:
        return Conclusion(verdict="undecided", reasons=(*wrong, *short), lines=lines)
    rejected = [line for line in lines if line.rejected]
    if not rejected:
        least = min(line.adjusted for line in lines)
        none = f"no test rejects at level {plan.alpha:g}: the smallest corrected p-value is {least:.3g}"
        return Conclusion(verdict="does-not-reject", reasons=(none, *short), lines=lines)
    words = tuple(f"{line.test} rejects: p = {line.p_value:.3g}, corrected {line.adjusted:.3g}" for line in rejected)
    named = tuple(name for line in rejected for name in _named(plan, own, line.part))
    return Conclusion(verdict="rejects", reasons=(*words, *short), lines=lines, named=named)


def _lines(plan: Plan, cells: Sequence[Cell]) -> tuple[Line, ...]:
    tested = [(cell.part, cell.outcome.main) for cell in cells if cell.outcome.main is not None]
    if not tested:
        return ()
    corrected = holm([_p(plan, result) for _, result in tested], plan.alpha)
    return tuple(
        Line(
            part=part,
            test=plan.parts[part].test,
            p_value=_p(plan, result),
            log10_e=result.log10_e,
            adjusted=float(adjusted),
            rejected=bool(rejected),
        )
        for (part, result), adjusted, rejected in zip(tested, corrected.adjusted, corrected.rejected, strict=True)
    )


def _p(plan: Plan, result: Result) -> float:
    """By p-values once, or by e-values at any time: min(1, 1/e) holds however often one looks."""
    return result.p_value if plan.stopping == "fixed" else p_from_log10(e_to_p(result.log10_e))


def _alarms(plan: Plan, cells: Sequence[Cell], what: Literal["control", "decoy"]) -> tuple[str, ...]:
    """Whether the test also rejects where it must not, corrected over all such places."""
    of_kind = [
        (cell, cell.outcome.main)
        for cell in cells
        if cell.outcome.main is not None
        if (cell.model != SUSPECT, cell.key != REAL) == (what == "control", what == "decoy")
    ]
    if not of_kind:
        return ()
    corrected = holm([_p(plan, main) for _, main in of_kind], plan.alpha)
    words = {
        "control": "{test} convicts control {model} too, which can't have been trained on the data",
        "decoy": "{test} convicts the suspect under decoy {key} too, a key that was never used",
    }[what]
    return tuple(
        words.format(test=plan.parts[cell.part].test, model=cell.model, key=cell.key)
        for (cell, _), rejected in zip(of_kind, corrected.rejected, strict=True)
        if rejected
    )


def _named(plan: Plan, cells: Sequence[Cell], part: int) -> tuple[str, ...]:
    results = [result for cell in cells if cell.part == part for result in cell.outcome.parts]
    if not results:
        return ()
    corrected = holm([_p(plan, result) for result in results], min(plan.alpha, NAMING))
    return tuple(
        result.subject.partition(" from ")[2] or result.subject
        for result, rejected in zip(results, corrected.rejected, strict=True)
        if rejected
    )


def _aliases(count: int, dice: Random) -> list[str]:
    names = [f"model {chr(ord('A') + at) if at < 26 else at}" for at in range(count)]
    dice.shuffle(names)
    return names


def _timeless(outcome: Outcome) -> Outcome:
    """Without what differs from run to run."""
    change = msgspec.structs.replace
    main = None if outcome.main is None else change(outcome.main, seconds=0.0)
    return change(outcome, main=main, parts=tuple(change(part, seconds=0.0) for part in outcome.parts))


def differs(one: Any, two: Any) -> bool:
    """Whether two values, as plain JSON, differ by more than rounding: one part in a million of a number, or of the
    logarithm of one that is tiny.
    """
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() != two.keys() or any(differs(one[name], two[name]) for name in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) != len(two) or any(map(differs, one, two))
    if isinstance(one, bool) or isinstance(two, bool) or not isinstance(one, int | float):
        return bool(one != two)
    if not isinstance(two, int | float):
        return True
    if 0 < one < 1e-6 and 0 < two < 1e-6:
        one, two = math.log(one), math.log(two)
    return not math.isclose(one, two, rel_tol=1e-6, abs_tol=1e-9)
