from __future__ import annotations

import json
from pathlib import Path

import pytest

from spiritsafe.distill.ledger import read_ledger
from spiritsafe.distill.pipeline import distill
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.evaluate import read_evaluation
from spiritsafe.distill.train import read_metrics
from spiritsafe.errors import Refused, UsageError

RECIPE = """\
purpose: student
teacher: {source: "hf:{folder}", terms: HuggingFaceTB/SmolLM2-135M-Instruct}
prompts: [{file: prompts.jsonl, licence: Apache-2.0}]
collect:
  sampling: {temperature: 1.0, max_tokens: 8}
  concurrency: 4
curate: {complete: false, near: null}
student: {prune: {layers: 3}}
train: {loss: forward_kl, epochs: 2, batch: 4, precision: float32, max_length: 96, checkpoint_steps: 2}
evaluate: {held_out: 0.3, draws: 100, max_tokens: 4}
"""


def recipe_in(folder: Path, model: Path, text: str = RECIPE) -> Path:
    names = ["river", "lake", "harbour", "tide", "hen", "farmer", "sky", "rain", "colour", "sentence", "day", "market"]
    lines = [json.dumps({"prompt": f"Say one thing about a {a} and a {b}."}) for a in names[:6] for b in names[6:9]]
    (folder / "prompts.jsonl").write_text("\n".join(lines))
    path = folder / "recipe.yaml"
    path.write_text(text.replace("{folder}", str(model)))
    return path


def perform(recipe: Path, out: Path, **options: object) -> tuple[Run, list[str]]:
    said: list[str] = []
    run = distill(recipe, out, report=lambda what, share, left: None, say=said.append, **options)  # type: ignore[arg-type]
    return run, said


def test_a_recipe_becomes_a_measured_student(tmp_path: Path, model_folder: Path) -> None:
    recipe = recipe_in(tmp_path, model_folder)
    run, said = perform(recipe, tmp_path / "run", until="evaluate")
    assert [line.split(":")[0] for line in said] == ["terms", "collect", "cache", "curate", "train", "evaluate"]
    steps = read_metrics(run.path("train") / "metrics.jsonl")
    assert steps[-1].loss < steps[0].loss
    evaluation = read_evaluation(run.path("evaluate"))
    student, untouched, teacher = evaluation.measured
    assert teacher.agreement == 1.0
    assert teacher.kl == pytest.approx(0.0, abs=1e-5)
    assert student.kl is not None
    assert untouched.kl is not None
    assert 0 < student.kl < untouched.kl
    (kept,) = evaluation.retention
    assert kept.interval is not None
    assert kept.interval[0] <= (kept.value or 0) <= kept.interval[1]


def test_what_is_done_is_not_done_again_and_what_changed_is(tmp_path: Path, model_folder: Path) -> None:
    recipe = recipe_in(tmp_path, model_folder)
    perform(recipe, tmp_path / "run", until="train")
    with pytest.raises(UsageError, match="--resume"):
        perform(recipe, tmp_path / "run", until="train")
    _, said = perform(recipe, tmp_path / "run", until="train", resume=True)
    assert said == [f"{stage}: done before" for stage in ("terms", "collect", "cache", "curate", "train")]
    recipe_in(tmp_path, model_folder, RECIPE.replace("epochs: 2", "epochs: 1"))
    run, said = perform(recipe, tmp_path / "run", until="train", resume=True)
    assert said[:4] == [f"{stage}: done before" for stage in ("terms", "collect", "cache", "curate")]
    assert said[4] == "train: again, since the recipe's student or train has changed; what was there is in train.1"
    assert (run.folder / "train.1" / "model" / "model.safetensors").exists()


def test_a_teacher_without_permission_is_refused_before_the_first_request(tmp_path: Path, model_folder: Path) -> None:
    recipe = recipe_in(
        tmp_path, model_folder, RECIPE.replace("HuggingFaceTB/SmolLM2-135M-Instruct", "a-model-nobody-knows")
    )
    with pytest.raises(Refused, match="a-model-nobody-knows is unknown"):
        perform(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "collect").exists()


def test_prompts_of_unknown_licence_stop_the_run_unless_someone_answers_for_them(
    tmp_path: Path, model_folder: Path
) -> None:
    recipe = recipe_in(tmp_path, model_folder, RECIPE.replace(", licence: Apache-2.0", ""))
    with pytest.raises(Refused, match="nobody says under what licence"):
        perform(recipe, tmp_path / "a", until="terms")
    recipe_in(tmp_path, model_folder, RECIPE.replace("licence: Apache-2.0", "acknowledge: A. Person"))
    run, _ = perform(recipe, tmp_path / "b", until="terms")
    permission = json.loads((run.path("terms") / "permission.json").read_text())
    assert permission["prompts"][0]["acknowledged_by"] == "A. Person"


def test_answers_are_not_paid_for_again_when_more_is_collected(tmp_path: Path, model_folder: Path) -> None:
    recipe = recipe_in(tmp_path, model_folder)
    perform(recipe, tmp_path / "run", until="collect")
    recipe_in(tmp_path, model_folder, RECIPE.replace("concurrency: 4", "concurrency: 2"))
    run, said = perform(recipe, tmp_path / "run", until="collect", resume=True)
    assert "again" in said[1]
    collected = run.manifest("collect")
    assert collected is not None
    assert (collected.counts["asked"], collected.counts["reused"]) == (0, 18)


def test_the_ledger_has_an_entry_for_each_stage(tmp_path: Path, model_folder: Path) -> None:
    run, _ = perform(recipe_in(tmp_path, model_folder), tmp_path / "run", until="train")
    ledger = read_ledger(run.folder)
    assert [e.stage for e in ledger.entries] == ["terms", "collect", "cache", "curate", "train"]
    assert ledger.entries[1].tokens_out > 0
    assert ledger.entries[4].flops > 6 * (ledger.student_params or 0) * ledger.entries[4].tokens_trained
