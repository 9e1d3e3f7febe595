"""From a recipe to a sealed student: the stages in order, each skipped if what stands is right."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from spiritsafe.distill.recipe import read_recipe
from spiritsafe.distill.stages import STAGES, Manifest, Run, Stage

if TYPE_CHECKING:
    from spiritsafe.distill.steps.types import Report, Step


def distill(
    recipe: Path, out: Path, *, until: Stage = "seal", resume: bool = False, report: Report, say: Callable[[str], None]
) -> Run:
    """Run ``recipe`` into the folder ``out``, up to and with the stage ``until``.

    A stage that is done and still right is skipped; one that is stale is done again, after what it left is set
    aside. ``say`` takes one line for each. Raises what the stages raise; what was done stays.
    """
    run = Run.start(out, read_recipe(recipe), recipe.parent, resume=resume)
    for stage in STAGES[: STAGES.index(until) + 1]:
        why = run.stale(stage)
        if why is None:
            say(f"{stage}: done before")
            continue
        aside = run.set_aside(stage)
        if aside is not None:
            say(f"{stage}: again, since {why}; what was there is in {aside.name}")
        manifest = perform(run, stage, report)
        say(f"{stage}: {_short(manifest)}")
    return run


def perform(run: Run, stage: Stage, report: Report) -> Manifest:
    """Do one stage and write its manifest."""
    step = cast("Step", import_module(f"spiritsafe.distill.steps.{stage}").step)
    began = time.monotonic()
    made = step(run, report)
    return run.finish(stage, made.outputs, made.counts, time.monotonic() - began)


def _short(manifest: Manifest) -> str:
    shown = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in manifest.counts.items() if value != "")
    return f"{shown} ({manifest.seconds:.1f} s)"
