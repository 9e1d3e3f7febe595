from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.distill.recipe import Ceiling, Collect, Evaluate, Prompts, Prune, Recipe, Sampling, Student, Teacher
from spiritsafe.distill.rows import read_rows
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps import terms
from spiritsafe.distill.steps.collect import prompts_of, step
from spiritsafe.distill.steps.terms import read_permission
from spiritsafe.distill.terms.grant import Grant, Scope, seal_grant
from spiritsafe.errors import InputError, Refused, ResourceError, UsageError
from spiritsafe.record.keys import Signer


def run_of(
    folder: Path, source: str, files: dict[str, list[str]], grant: Grant | None = None, **collect: object
) -> Run:
    for name, texts in files.items():
        (folder / name).write_text("".join(json.dumps({"prompt": t}) + "\n" for t in texts))
    permission: dict[str, Any] = {}
    if grant is not None:
        signer = Signer(bytes(32))
        (folder / "owner.pub").write_text(signer.public.text)
        (folder / "grant.json").write_bytes(seal_grant(grant, signer))
        permission = {"grant": "grant.json", "trust": ("owner.pub",)}
    recipe = Recipe(
        purpose="student",
        teacher=Teacher(source=source, terms="HuggingFaceTB/SmolLM2-135M-Instruct", **permission),
        prompts=tuple(Prompts(file=name, licence="CC0-1.0") for name in files),
        student=Student(prune=Prune(layers=2)),
        collect=Collect(sampling=Sampling(max_tokens=4), **collect),  # type: ignore[arg-type]
        evaluate=Evaluate(held_out=0.5),
    )
    run = Run.start(folder / "run", recipe, folder, resume=True)
    terms.step(run, lambda *now: None)
    return run


def test_prompts_of_several_files_are_asked_once(tmp_path: Path, model_folder: Path, heard) -> None:
    run = run_of(tmp_path, f"hf:{model_folder}", {"a.jsonl": ["one", "two"], "b.jsonl": ["two", "three"]})
    assert [p.text for p in prompts_of(run)] == ["one", "two", "three"]
    made = step(run, heard)
    rows = read_rows(run.path("collect") / "rows.parquet")
    assert [r.source for r in rows] == ["a.jsonl", "a.jsonl", "b.jsonl"]
    assert made.counts["asked"] == 3
    assert made.counts["completion_tokens"] == pytest.approx(12, abs=12)
    assert heard.shares[-1] == 1.0
    assert heard.lines == [
        "collect: 3 to ask, about 14 tokens (8 to 20); no answers yet: from empty answers to the longest allowed"
    ]


def test_another_runs_answers_are_taken_before_any_is_asked(tmp_path: Path, model_folder: Path, heard) -> None:
    (tmp_path / "first").mkdir()
    step(run_of(tmp_path / "first", f"hf:{model_folder}", {"a.jsonl": ["one", "two"]}), heard)
    files = {"a.jsonl": ["one", "two", "three"]}
    made = step(run_of(tmp_path, f"hf:{model_folder}", files, reuse=("first/run",)), heard)
    assert (made.counts["asked"], made.counts["reused"]) == (1, 2)


def test_a_teacher_that_is_not_there_leaves_the_stage_undone_and_says_how_to_go_on(tmp_path: Path, heard) -> None:
    run = run_of(tmp_path, "openai:http://127.0.0.1:9/v1#m", {"a.jsonl": ["one"]}, attempts=1)
    with pytest.raises(ResourceError, match="--resume"):
        step(run, heard)
    assert run.stale("collect") == "not done yet"


def test_a_provider_with_a_batch_endpoint_is_asked_in_batches(
    batch_server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard
) -> None:
    monkeypatch.setattr("spiritsafe.distill.batch.time.sleep", lambda seconds: None)
    files = {"a.jsonl": ["one", "bad", "three"]}
    run = run_of(tmp_path, f"openai:{batch_server.url}#m", files, batch=True)
    made = step(run, heard)
    assert [r.answer for r in read_rows(run.path("collect") / "rows.parquet")] == ["ONE", "THREE"]
    assert (made.counts["asked"], made.counts["refused"]) == (2, 1)
    assert "no such thing" in (run.path("collect") / "refused.json").read_text()
    assert len(batch_server.batches) == 1


def test_a_teacher_without_a_batch_endpoint_is_refused(tmp_path: Path, model_folder: Path, heard) -> None:
    run = run_of(tmp_path, f"hf:{model_folder}", {"a.jsonl": ["one"]}, batch=True)
    with pytest.raises(UsageError, match="has no batch endpoint"):
        step(run, heard)


def test_a_teacher_that_takes_nothing_leaves_the_stage_undone(batch_server, tmp_path: Path, heard) -> None:
    batch_server.polls = 1
    run = run_of(tmp_path, f"openai:{batch_server.url}#m", {"a.jsonl": ["bad"]}, batch=True)
    with pytest.raises(InputError, match="takes none of the requests"):
        step(run, heard)


def granted(ends: timedelta, **scope: int) -> Grant:
    now = datetime.now(UTC)
    return Grant(
        grant_id="g-1",
        issuer="The owner",
        licensee="A laboratory",
        teachers=("SmolLM2",),
        purposes=("student",),
        issued=now,
        not_before=now - timedelta(days=1),
        expires=now + ends,
        scope=Scope(**scope),
    )


def test_no_more_is_asked_than_the_grant_allows(tmp_path: Path, model_folder: Path, heard) -> None:
    grant = granted(timedelta(days=1), max_requests=2)
    made = step(run_of(tmp_path, f"hf:{model_folder}", {"a.jsonl": ["one", "two", "three", "four"]}, grant), heard)
    assert (made.counts["asked"], made.counts["unasked"]) == (2, 2)
    assert made.counts["stopped"] == "the ceiling of 2 requests is reached"


def test_the_lower_of_the_grants_and_the_recipes_ceiling_holds(tmp_path: Path, model_folder: Path, heard) -> None:
    grant, files = granted(timedelta(days=1), max_tokens=10_000), {"a.jsonl": ["one", "two"]}
    made = step(run_of(tmp_path, f"hf:{model_folder}", files, grant, ceiling=Ceiling(tokens=1)), heard)
    assert made.counts["stopped"] == "one more answer could cross the ceiling of 1 tokens"


def test_a_grant_that_has_expired_since_the_terms_were_checked_asks_for_nothing(
    tmp_path: Path, model_folder: Path, heard
) -> None:
    run = run_of(tmp_path, f"hf:{model_folder}", {"a.jsonl": ["one"]}, granted(timedelta(seconds=3)))
    until = read_permission(run).grant.expires
    while datetime.now(UTC) < until:
        time.sleep(0.1)
    with pytest.raises(Refused, match="the grant g-1 held until"):
        step(run, heard)
    assert not (run.path("collect") / "record").exists()
