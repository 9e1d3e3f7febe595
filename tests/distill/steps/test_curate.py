from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from spiritsafe.distill.recipe import Curate, Evaluate, Prompts, Prune, Recipe, Student, Teacher, Verifier
from spiritsafe.distill.rows import Row, prompt_id, read_rows, write_rows
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.curate import step, verifier
from spiritsafe.distill.verifiers import Code, Exact, Number
from spiritsafe.errors import InputError, UsageError


def run_with(folder: Path, rows: list[Row], section: Curate) -> Run:
    recipe = Recipe(
        purpose="student",
        teacher=Teacher(source="smollm2"),
        prompts=(Prompts(file="p.jsonl", licence="CC0-1.0"),),
        student=Student(prune=Prune(layers=2)),
        curate=section,
        evaluate=Evaluate(held_out=0.5),
    )
    run = Run.start(folder / "run", recipe, folder, resume=False)
    write_rows(run.path("collect") / "rows.parquet", rows)
    return run


def row(number: int, answer: str, *, held_out: bool = False) -> Row:
    prompt = f"What is {number} and {number}, my friend?"
    return Row(
        prompt_id=prompt_id(prompt),
        prompt=prompt,
        sample=0,
        answer=answer,
        known=str(2 * number),
        finish="stop",
        exchange_id=f"e{number}",
        source="p",
        held_out=held_out,
    )


def test_dropped_rows_keep_their_reasons_and_the_report_shows_some(tmp_path: Path) -> None:
    rows = [row(1, "It is 2."), row(2, "It is 5."), row(3, "It is 6.", held_out=True), row(40, "It is 80.")]
    (tmp_path / "exam.txt").write_text("Quick: what is 40 and 40, my friend? And why is that so?\n")
    section = Curate(verify=Verifier(kind="number"), against=("exam.txt",), near=None, ngram=7)
    run = run_with(tmp_path, rows, section)
    made = step(run, lambda what, share, left: None)
    reasons = [r.reason and r.reason.split(":")[0] for r in read_rows(run.path("curate") / "curated.parquet")]
    assert reasons == [None, "wrong", "held out", "contaminated"]
    report = json.loads((run.path("curate") / "report.json").read_text())
    assert report["examples"]["wrong"][0]["reason"] == "wrong: said 5, the known answer is 4"
    assert made.counts["kept"] == 1


def test_a_curation_that_keeps_nothing_says_what_it_dropped(tmp_path: Path) -> None:
    run = run_with(tmp_path, [row(1, "It is 3.")], Curate(verify=Verifier(kind="number")))
    with pytest.raises(InputError, match=r"kept no answer .*dropped wrong 1"):
        step(run, lambda what, share, left: None)


def test_each_verifier_is_made_by_its_name() -> None:
    with ExitStack() as stack:
        assert verifier(Verifier(), stack) is None
        assert isinstance(verifier(Verifier(kind="number"), stack), Number)
        assert isinstance(verifier(Verifier(kind="exact"), stack), Exact)
        assert isinstance(verifier(Verifier(kind="code"), stack), Code)
        with pytest.raises(UsageError, match="a judge needs a model"):
            verifier(Verifier(kind="judge"), stack)


def test_a_judge_is_a_teacher_that_is_asked(model_folder: Path) -> None:
    with ExitStack() as stack:
        judge = verifier(Verifier(kind="judge", judge=f"hf:{model_folder}"), stack)
        assert judge is not None
        verdict = judge("2+2?", "4", "4")
        assert "the judge" in verdict.because
