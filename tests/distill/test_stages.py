from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from spiritsafe.distill.recipe import Collect, Prompts, Prune, Recipe, Student, Teacher, Train
from spiritsafe.distill.stages import STAGES, Run, code_digest, file_digest, write_atomic
from spiritsafe.errors import BrokenRecord, InputError, UsageError

RECIPE = Recipe(
    purpose="research",
    teacher=Teacher(source="smollm2"),
    prompts=(Prompts(file="prompts.jsonl", licence="CC0-1.0"),),
    student=Student(prune=Prune(layers=20)),
)


def finished(run: Run) -> None:
    for stage in STAGES:
        output = run.path(stage) / "out.txt"
        output.write_text(stage)
        run.finish(stage, [output], {"n": 1}, 0.5)


def run_in(folder: Path, recipe: Recipe = RECIPE, *, resume: bool = False) -> Run:
    return Run.start(folder / "run", recipe, folder, resume=resume)


def test_a_finished_run_has_nothing_stale(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    assert [run.stale(s) for s in STAGES] == ["not done yet"] * len(STAGES)
    finished(run)
    assert [run.stale(s) for s in STAGES] == [None] * len(STAGES)


def test_a_changed_section_makes_its_stage_stale_and_none_before_it(tmp_path: Path) -> None:
    finished(run_in(tmp_path))
    changed = run_in(tmp_path, msgspec.structs.replace(RECIPE, train=Train(epochs=2.0)), resume=True)
    assert [bool(changed.stale(s)) for s in STAGES] == [False, False, False, False, True, False, False]
    aside = changed.set_aside("train")
    assert aside is not None
    assert (aside / "out.txt").read_text() == "train"
    output = changed.path("train") / "out.txt"
    output.write_text("again")
    changed.finish("train", [output], {}, 0.1)
    assert [changed.stale(s) for s in ("train", "evaluate", "seal")] == [None, *["train was done again"] * 2]


def test_changing_how_answers_are_collected_leaves_the_terms_alone(tmp_path: Path) -> None:
    finished(run_in(tmp_path))
    changed = run_in(tmp_path, msgspec.structs.replace(RECIPE, collect=Collect(concurrency=2)), resume=True)
    assert changed.stale("terms") is None
    assert changed.stale("collect") == "the recipe's teacher or prompts or collect has changed"


@pytest.mark.parametrize("damage", ["other bytes", None])
def test_an_output_changed_or_gone_makes_its_stage_stale(tmp_path: Path, damage: str | None) -> None:
    run = run_in(tmp_path)
    finished(run)
    output = run.path("curate") / "out.txt"
    output.write_text(damage) if damage else output.unlink()
    assert run.stale("curate") == "out.txt is not what the stage wrote"


def test_a_folder_that_holds_a_run_needs_resume(tmp_path: Path) -> None:
    run_in(tmp_path)
    with pytest.raises(UsageError, match="--resume"):
        run_in(tmp_path)


def test_a_run_is_read_back_from_its_folder_alone(tmp_path: Path) -> None:
    finished(run_in(tmp_path))
    run = Run.open(tmp_path / "run")
    assert run.recipe == RECIPE
    assert run.find("prompts.jsonl") == tmp_path / "prompts.jsonl"
    manifest = run.manifest("train")
    assert manifest is not None
    assert manifest.outputs == {"out.txt": file_digest(run.path("train") / "out.txt")}
    assert manifest.code == code_digest()


def test_a_folder_without_a_run_and_a_broken_manifest_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the folder of a run"):
        Run.open(tmp_path)
    run = run_in(tmp_path)
    (run.path("terms") / "manifest.json").write_text("{")
    with pytest.raises(BrokenRecord, match="can't be read"):
        run.stale("terms")


def test_a_manifest_cut_short_by_a_crash_is_as_if_it_had_not_been_written(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    (run.path("collect") / ".manifest.json.part").write_text('{"version": 1, "sta')
    assert run.stale("collect") == "not done yet"
    write_atomic(tmp_path / "a", b"1")
    write_atomic(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"2"
