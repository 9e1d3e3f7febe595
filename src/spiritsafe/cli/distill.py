"""spiritsafe distill: from a recipe to a sealed student."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.status import Status

from spiritsafe.cli.output import Json, emit_json
from spiritsafe.errors import UsageError

if TYPE_CHECKING:
    from spiritsafe.distill.stages import Run


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="distill")(distill)


def distill(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    out: Annotated[Path | None, typer.Option(help="The run's folder; by default runs/ and the recipe's name.")] = None,
    until: Annotated[
        str, typer.Option(help="The last stage to do: terms, collect, cache, curate, train, evaluate, seal.")
    ] = "seal",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that is in the folder.")] = False,
    as_json: Json = False,
) -> None:
    """Distil a student as RECIPE says: terms, collect, cache, curate, train, evaluate, seal."""
    from spiritsafe.distill.pipeline import distill as perform
    from spiritsafe.distill.stages import STAGES

    stages = [stage for stage in STAGES if stage == until]
    if not stages:
        raise UsageError(f"no stage is called {until!r}", remedy=f"Stages: {', '.join(STAGES)}.", where="--until")
    folder = out or Path("runs") / recipe.stem
    os.environ.setdefault("TQDM_DISABLE", "1")  # the libraries' own bars, beside ours
    # What is said goes to the error stream, so that --json leaves the output to machines.
    console = Console(stderr=True, highlight=False)
    with console.status("") as status:
        run = perform(
            recipe,
            folder,
            until=stages[0],
            resume=resume,
            report=_Reporter(status),
        )
    emit_json(summary(run)) if as_json else console.print(f"The run is in {folder}.")


def summary(run: Run) -> dict[str, object]:
    """Each finished stage with its counts."""
    from spiritsafe.distill.stages import STAGES

    done = {stage: run.manifest(stage) for stage in STAGES}
    stages = {s: {"counts": m.counts, "seconds": m.seconds} for s, m in done.items() if m is not None}
    return {"run": str(run.folder), "stages": msgspec.to_builtins(stages)}


class _Reporter:
    """Shows how far a stage is, at most five times a second."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._last = 0.0

    def say(self, line: str) -> None:
        self._status.console.print(line)

    def __call__(self, what: str, share: float, left: float | None) -> None:
        now = time.monotonic()
        if now - self._last < 0.2 and share < 1.0:
            return
        self._last = now
        rest = "" if left is None or left < 2 else f", about {_clock(left)} left"
        self._status.update(f"{what} ({share:.0%}{rest})")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
