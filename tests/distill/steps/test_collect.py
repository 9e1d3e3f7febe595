from __future__ import annotations

import json
from pathlib import Path

import pytest

from spiritsafe.distill.recipe import Collect, Evaluate, Prompts, Prune, Recipe, Sampling, Student, Teacher
from spiritsafe.distill.rows import read_rows
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.collect import prompts_of, step
from spiritsafe.errors import InputError, ResourceError, UsageError


def run_of(folder: Path, source: str, files: dict[str, list[str]], **collect: object) -> Run:
    for name, texts in files.items():
        (folder / name).write_text("".join(json.dumps({"prompt": t}) + "\n" for t in texts))
    recipe = Recipe(
        purpose="student",
        teacher=Teacher(source=source),
        prompts=tuple(Prompts(file=name, licence="CC0-1.0") for name in files),
        student=Student(prune=Prune(layers=2)),
        collect=Collect(sampling=Sampling(max_tokens=4), **collect),  # type: ignore[arg-type]
        evaluate=Evaluate(held_out=0.5),
    )
    return Run.start(folder / "run", recipe, folder, resume=True)


def test_prompts_of_several_files_are_asked_once(tmp_path: Path, model_folder: Path) -> None:
    run = run_of(tmp_path, f"hf:{model_folder}", {"a.jsonl": ["one", "two"], "b.jsonl": ["two", "three"]})
    assert [p.text for p in prompts_of(run)] == ["one", "two", "three"]
    shown: list[float] = []
    made = step(run, lambda what, share, left: shown.append(share))
    rows = read_rows(run.path("collect") / "rows.parquet")
    assert [r.source for r in rows] == ["a.jsonl", "a.jsonl", "b.jsonl"]
    assert made.counts["asked"] == 3
    assert made.counts["completion_tokens"] == pytest.approx(12, abs=12)
    assert shown[-1] == 1.0


def test_another_runs_answers_are_taken_before_any_is_asked(tmp_path: Path, model_folder: Path) -> None:
    (tmp_path / "first").mkdir()
    step(run_of(tmp_path / "first", f"hf:{model_folder}", {"a.jsonl": ["one", "two"]}), lambda *now: None)
    files = {"a.jsonl": ["one", "two", "three"]}
    made = step(run_of(tmp_path, f"hf:{model_folder}", files, reuse=("first/run",)), lambda *now: None)
    assert (made.counts["asked"], made.counts["reused"]) == (1, 2)


def test_a_teacher_that_is_not_there_leaves_the_stage_undone_and_says_how_to_go_on(tmp_path: Path) -> None:
    run = run_of(tmp_path, "openai:http://127.0.0.1:9/v1#m", {"a.jsonl": ["one"]}, attempts=1)
    with pytest.raises(ResourceError, match="--resume"):
        step(run, lambda *now: None)
    assert run.stale("collect") == "not done yet"


def test_a_provider_with_a_batch_endpoint_is_asked_in_batches(
    batch_server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spiritsafe.distill.batch.time.sleep", lambda seconds: None)
    files = {"a.jsonl": ["one", "bad", "three"]}
    run = run_of(tmp_path, f"openai:{batch_server.url}#m", files, batch=True)
    made = step(run, lambda *now: None)
    assert [r.answer for r in read_rows(run.path("collect") / "rows.parquet")] == ["ONE", "THREE"]
    assert (made.counts["asked"], made.counts["refused"]) == (2, 1)
    assert "no such thing" in (run.path("collect") / "refused.json").read_text()
    assert len(batch_server.batches) == 1


def test_a_teacher_without_a_batch_endpoint_is_refused(tmp_path: Path, model_folder: Path) -> None:
    run = run_of(tmp_path, f"hf:{model_folder}", {"a.jsonl": ["one"]}, batch=True)
    with pytest.raises(UsageError, match="has no batch endpoint"):
        step(run, lambda *now: None)


def test_a_teacher_that_takes_nothing_leaves_the_stage_undone(batch_server, tmp_path: Path) -> None:
    batch_server.polls = 1
    run = run_of(tmp_path, f"openai:{batch_server.url}#m", {"a.jsonl": ["bad"]}, batch=True)
    with pytest.raises(InputError, match="takes none of the requests"):
        step(run, lambda *now: None)
