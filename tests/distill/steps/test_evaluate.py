from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from spiritsafe.distill.recipe import Curate, Evaluate, Prompts, Prune, Recipe, Student, Teacher, Verifier
from spiritsafe.distill.rows import Row, prompt_id, write_rows
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.evaluate import read_evaluation, step
from spiritsafe.errors import InputError


def run_of(folder: Path, model: Path, source: str, *, verify: bool = False, held: int = 3, **evaluate: object) -> Run:
    recipe = Recipe(
        purpose="student",
        teacher=Teacher(source=source),
        prompts=(Prompts(file="p.jsonl", licence="CC0-1.0"),),
        student=Student(prune=Prune(layers=2)),
        curate=Curate(verify=Verifier(kind="number" if verify else "none")),
        evaluate=Evaluate(draws=50, max_tokens=3, **evaluate),  # type: ignore[arg-type]
    )
    run = Run.start(folder / "run", recipe, folder, resume=False)
    rows = [
        Row(
            prompt_id=prompt_id(f"What is {i} and one?"),
            prompt=f"What is {i} and one?",
            sample=0,
            answer=f"It is {i + 1}.",
            known=str(i + 1),
            exchange_id=f"e{i}",
            source="s",
            held_out=i < held,
            reason="held out" if i < held else None,
        )
        for i in range(6)
    ]
    write_rows(run.path("curate") / "curated.parquet", rows)
    for name in ("start", "model"):
        shutil.copytree(model, run.path("train") / name)
    return run


def test_a_student_that_is_its_teacher_kept_everything(tmp_path: Path, model_folder: Path) -> None:
    run = run_of(tmp_path, model_folder, f"hf:{model_folder}")
    step(run, lambda *now: None)
    done = read_evaluation(run.path("evaluate"))
    assert done.prompts == 3
    (ratio,) = done.retention
    assert ratio.value == pytest.approx(1.0, abs=1e-6)
    assert done.agreement_with == "the teacher's likeliest token"
    assert done.retention_untouched[0].value == ratio.value


def test_of_a_teacher_behind_an_api_only_its_answers_are_known(tmp_path: Path, model_folder: Path) -> None:
    run = run_of(tmp_path, model_folder, "openai:http://127.0.0.1:9/v1#m", verify=True)
    step(run, lambda *now: None)
    done = read_evaluation(run.path("evaluate"))
    teacher = done.measured[-1]
    assert (teacher.accuracy, teacher.cross_entropy) == (1.0, None)
    assert done.agreement_with == "the teacher's answer"
    assert [r.measure for r in done.retention] == ["accuracy"]


def test_without_weights_and_without_a_verifier_there_is_no_retention(tmp_path: Path, model_folder: Path) -> None:
    run = run_of(tmp_path, model_folder, "openai:http://127.0.0.1:9/v1#m")
    step(run, lambda *now: None)
    done = read_evaluation(run.path("evaluate"))
    assert done.retention == ()
    assert done.why_not is not None


def test_prompts_that_were_trained_on_give_no_retention(tmp_path: Path, model_folder: Path) -> None:
    run = run_of(tmp_path, model_folder, f"hf:{model_folder}")
    rows = [
        Row(
            prompt_id=prompt_id("a b"), prompt="a b", sample=s, answer="x", exchange_id="e", source="s", held_out=s == 0
        )
        for s in (0, 1)
    ]
    write_rows(run.path("curate") / "curated.parquet", rows)
    with pytest.raises(InputError, match="in the training set"):
        step(run, lambda *now: None)


def test_nothing_held_out_is_said(tmp_path: Path, model_folder: Path) -> None:
    run = run_of(tmp_path, model_folder, f"hf:{model_folder}", held=0)
    with pytest.raises(InputError, match="no prompt was held out"):
        step(run, lambda *now: None)


@pytest.mark.filterwarnings("ignore")
def test_tasks_are_asked_of_all_three(tmp_path: Path, model_folder: Path, task_folder: Path) -> None:
    pytest.importorskip("lm_eval", reason="the extra lm-eval is not installed")
    run = run_of(tmp_path, model_folder, f"hf:{model_folder}", tasks=("colours",), task_folder="tasks", task_limit=2)
    step(run, lambda *now: None)
    done = read_evaluation(run.path("evaluate"))
    assert [(t.model, t.task, t.n) for t in done.tasks] == [
        ("student", "colours", 2),
        ("untouched student", "colours", 2),
        ("teacher", "colours", 2),
    ]
