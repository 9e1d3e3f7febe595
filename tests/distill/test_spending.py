from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from spiritsafe.distill.ledger import bill, read_ledger
from spiritsafe.distill.recipe import Prompts, Prune, Recipe, Student, Teacher, Train
from spiritsafe.distill.spending import enter, parameters_in
from spiritsafe.distill.stages import Manifest, Run, Stage

RECIPE = Recipe(
    purpose="student",
    teacher=Teacher(source="smollm2"),
    prompts=(Prompts(file="p.jsonl", licence="CC0-1.0"),),
    student=Student(prune=Prune(layers=2)),
)


def manifest(stage: Stage, **counts: int | float | str) -> Manifest:
    return Manifest(
        stage=stage,
        code="c",
        recipe="r",
        inputs={},
        outputs={},
        counts=counts,
        seconds=3.0,
        finished=datetime(2026, 1, 1, tzinfo=UTC),
    )


def run_of(folder: Path, **train: object) -> Run:
    recipe = msgspec.structs.replace(RECIPE, train=Train(**train))  # type: ignore[arg-type]
    return Run.start(folder / "run", recipe, folder, resume=False)


def test_what_the_teacher_was_paid_and_read_is_entered(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    enter(run, manifest("collect", prompt_tokens=100, completion_tokens=50, money=0.5, currency="EUR", reused=7), 1e6)
    total = bill(read_ledger(run.folder)).total
    assert (total.tokens_in, total.tokens_out, total.reused, total.money) == (100, 50, 7, {"EUR": 0.5})
    assert total.flops == 2e6 * 150


def test_behind_an_api_the_providers_flops_are_not_guessed(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    enter(run, manifest("collect", prompt_tokens=100, completion_tokens=50), None)
    assert bill(read_ledger(run.folder)).total.flops == 0.0


@pytest.mark.parametrize(
    ("train", "flops"),
    [
        ({"loss": "sft"}, 6 * 10.0 * 100),
        ({"loss": "forward_kl"}, 6 * 10.0 * 100 + 2 * 50.0 * 100),
        ({"loss": "forward_kl", "on_policy": 1.0}, 8 * 10.0 * 100 + 2 * 50.0 * 100),
    ],
)
def test_training_costs_what_its_formula_says(tmp_path: Path, train: dict[str, object], flops: float) -> None:
    run = run_of(tmp_path, **train)
    enter(run, manifest("train", tokens=100, parameters=10), 50.0)
    ledger = read_ledger(run.folder)
    assert bill(ledger).total.flops == pytest.approx(flops)
    assert (ledger.student_params, ledger.teacher_params) == (10.0, 50.0)


def test_weights_are_counted_from_their_files(model_folder: Path, tmp_path: Path) -> None:
    import torch

    from spiritsafe.distill.student import load_model, parameters

    assert parameters_in(model_folder) == parameters(load_model(model_folder, torch.float32))
    assert parameters_in(tmp_path / "none") is None
