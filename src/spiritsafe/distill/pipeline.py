"""From a recipe to a sealed student: the stages in order, each skipped if what stands is right."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from spiritsafe.distill.recipe import read_recipe
from spiritsafe.distill.spending import enter, entered, parameters_in
from spiritsafe.distill.stages import STAGES, Manifest, Run, Stage
from spiritsafe.distill.stopwatch import Stopwatch

if TYPE_CHECKING:
    from spiritsafe.distill.steps.types import Report, Step


def distill(recipe: Path, out: Path, *, until: Stage = "seal", resume: bool = False, report: Report) -> Run:
    """Run ``recipe`` into the folder ``out``, up to and with the stage ``until``.

    A stage that is done and still right is skipped; one that is stale is done again, after what it left is set
    aside; ``report`` is told one line for each. Raises what the stages raise; what was done stays.
    """
    run = Run.start(out, read_recipe(recipe), recipe.parent, resume=resume)
    for stage in STAGES[: STAGES.index(until) + 1]:
        why = run.stale(stage)
        if why is None:
            _enter(run, stage)  # a kill may have come between the manifest and the ledger
            report.say(f"{stage}: done before")
            continue
        aside = run.set_aside(stage)
        if aside is not None:
            report.say(f"{stage}: again, since {why}; what was there is in {aside.name}")
        manifest = perform(run, stage, report)
        report.say(f"{stage}: {_short(manifest)}")
    return run


def perform(run: Run, stage: Stage, report: Report) -> Manifest:
    """Do one stage, write its manifest and its entry in the ledger."""
    step = cast("Step", import_module(f"spiritsafe.distill.steps.{stage}").step)
    with Stopwatch(run.clock(stage)) as watch:
        made = step(run, report)
    manifest = run.finish(stage, made.outputs, made.counts, watch.seconds)
    run.clock(stage).unlink()
    _enter(run, stage)
    return manifest


def _enter(run: Run, stage: Stage) -> None:
    """Have the stage that is done in the ledger, once."""
    manifest = run.manifest(stage)
    assert manifest is not None
    if not entered(run, manifest):
        enter(run, manifest, _teacher_params(run, stage))


def _teacher_params(run: Run, stage: Stage) -> float | None:
    """The teacher's weights, counted where they lie here; the stages that use them have loaded torch already."""
    source = run.recipe.teacher.weights_source
    if stage not in ("collect", "cache", "train") or source.partition(":")[0] == "openai":
        return None
    from spiritsafe.distill.weights import has_weights, weights_folder  # noqa: PLC0415 - loads torch

    return parameters_in(weights_folder(source)) if has_weights(source) else None


def _short(manifest: Manifest) -> str:
    shown = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in manifest.counts.items() if value != "")
    return f"{shown} ({manifest.seconds:.1f} s)"
