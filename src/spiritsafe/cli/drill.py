"""``spiritsafe drill``: the whole affair, played on this machine with a real model, and a report to look at."""

from __future__ import annotations

from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from spiritsafe.cli.output import Json, emit_json, emit_table
from spiritsafe.errors import UsageError

if TYPE_CHECKING:
    from spiritsafe.drill.account import Lesson, Proof
    from spiritsafe.drill.run import Drilled


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(drill)


def drill(
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where everything goes. [default: spiritsafe-drill-TIME]")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A smaller affair that ends within six minutes.")] = False,
    proof: Annotated[
        bool | None,
        typer.Option(
            "--proof/--no-proof",
            help="Train a student on what the ring got, and prove it. [default: yes, and no with --quick]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another affair.")] = 1,
    json: Json = False,
) -> None:
    """Play the affair: honest tenants and a ring before the real gateway and a real model.

    Ends with 1 if the ring was not stopped, an honest account was sanctioned, the licensed laboratory was hindered,
    the proof failed or the record is broken.
    """
    needed = ("accelerate", "matplotlib", "openai", "peft", "torch", "transformers")
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the drill needs {', '.join(missing)}", remedy="Install them: pip install 'spiritsafe[embedded,train]'."
        )
    from spiritsafe.drill.run import drill as play
    from spiritsafe.drill.scenario import FULL, QUICK

    folder = out or Path(f"spiritsafe-drill-{datetime.now().astimezone():%Y%m%d-%H%M%S}")
    size = QUICK if quick else FULL
    if proof is not None:
        size = msgspec.structs.replace(size, twinned=FULL.twinned if proof else 0.0)
    drilled = play(folder, size, seed, quiet=json)
    if json:
        emit_json(drilled)
    else:
        _print(drilled)
    if not drilled.passed:
        raise typer.Exit(1)


def _lesson(lesson: Lesson) -> str:
    touched = "hindered" if lesson.hindered else "not hindered"
    kept = "" if lesson.kept is None else f", its student kept {lesson.kept:.2f} of the teacher's likelihood"
    before = "" if lesson.before is None else f" (before training {lesson.before:.2f})"
    lineage = "; ".join(lesson.problems) or "its lineage verifies"
    return f"{lesson.answers} answers, {touched}{kept}{before}; {lineage}"


def _proof(proof: Proof) -> str:
    bundle = "; ".join(proof.problems) or "the bundle verifies"
    shown = ["-" if p is None else f"{p:.2g}" for p in (proof.p_value, proof.innocent_p_value)]
    named = f", accounts named: {len(proof.named)}" if proof.named else ""
    return f"{proof.verdict}, p {shown[0]} over {proof.pairs} pairs (innocent: {shown[1]}){named}; {bundle}"


def _print(drilled: Drilled) -> None:
    outcome = drilled.outcome
    typer.echo(f"\n{drilled.verdict}\n")
    share = 100 * outcome.got / outcome.corpus if outcome.corpus else 0.0
    stopped = "never" if outcome.stopped_at is None else f"after {outcome.stopped_at:.0f} seconds"
    emit_table(
        ("", ""),
        [
            ("served", f"{outcome.served} requests, {outcome.tokens} tokens"),
            ("caught", f"{outcome.stopped} of {outcome.members} ring accounts, the whole ring {stopped}"),
            ("missed", f"{outcome.members - outcome.stopped} ring accounts"),
            ("wrongly touched", f"{outcome.touched} of {outcome.honest} honest accounts"),
            ("harvested", f"{outcome.got} of {outcome.corpus} tasks ({share:.0f}%)"),
            ("refused", f"{outcome.refused} requests, {outcome.failed} failed"),
            ("under a grant", _lesson(outcome.lesson)),
            *([("proof", _proof(outcome.proof))] if outcome.proof is not None else []),
            ("record", "intact" if outcome.record_intact else "broken"),
            ("took", f"{drilled.setup_seconds:.0f} s to set up, {drilled.play_seconds:.0f} s of play"),
            ("report", drilled.report),
            ("data", drilled.data),
        ],
    )
