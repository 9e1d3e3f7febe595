from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from spiritsafe.distill.pipeline import perform
from spiritsafe.distill.recipe import Cache, Prompts, Prune, Recipe, Student, Teacher, Train
from spiritsafe.distill.rows import Row, prompt_id, write_rows
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.cache import step
from spiritsafe.distill.train import read_metrics
from spiritsafe.errors import InputError, UsageError

TRAIN = Train(steps=1, epochs=9, batch=4, precision="float32", max_length=96)


def run_of(folder: Path, source: str, cache: Cache, train: Train = TRAIN) -> Run:
    folder.mkdir(exist_ok=True)
    recipe = Recipe(
        purpose="student",
        teacher=Teacher(source=source),
        prompts=(Prompts(file="p.jsonl", licence="CC0-1.0"),),
        student=Student(prune=Prune(layers=3)),
        cache=cache,
        train=train,
    )
    run = Run.start(folder / "run", recipe, folder, resume=False)
    texts = {"Name a river.": "The Rhine.", "How many hens?": "Seventeen hens.", "Which lake?": "The same lake."}
    rows = [
        Row(prompt_id=prompt_id(p), prompt=p, sample=0, answer=a, exchange_id="e", source="s") for p, a in texts.items()
    ]
    held = msgspec.structs.replace(rows[0], prompt="And?", prompt_id=prompt_id("And?"), held_out=True)
    write_rows(run.path("collect") / "rows.parquet", [*rows, held])
    write_rows(run.path("curate") / "curated.parquet", rows)
    return run


def quiet(what: str, share: float, left: float | None) -> None:
    assert 0 <= share <= 1


def first_loss(run: Run) -> float:
    perform(run, "train", quiet)
    return read_metrics(run.path("train") / "metrics.jsonl")[0].loss


def test_a_cache_of_every_token_trains_as_the_live_teacher_does(tmp_path: Path, model_folder: Path) -> None:
    source = f"hf:{model_folder}"
    cached = run_of(tmp_path / "a", source, Cache(kind="topk", k=400), msgspec.structs.replace(TRAIN, loss="topk_kl"))
    counts = step(cached, quiet).counts
    live = run_of(tmp_path / "b", source, Cache(), msgspec.structs.replace(TRAIN, loss="forward_kl"))
    assert first_loss(cached) == pytest.approx(first_loss(live), rel=0.02)
    assert counts["positions"] == cached.manifest("train").counts["answer_tokens"]  # type: ignore[union-attr]


def test_a_sampled_cache_is_small_and_trains(tmp_path: Path, model_folder: Path) -> None:
    train = msgspec.structs.replace(TRAIN, loss="sampled_kl")
    run = run_of(tmp_path, f"hf:{model_folder}", Cache(kind="sampled"), train)
    made = step(run, quiet)
    assert {p.name for p in made.outputs} >= {"manifest.json", "spec.json", "part-00000.arrow"}
    assert first_loss(run) > -1.0


def test_without_a_cache_in_the_recipe_nothing_is_written(tmp_path: Path, model_folder: Path) -> None:
    assert step(run_of(tmp_path, f"hf:{model_folder}", Cache()), quiet).outputs == []


def test_another_temperature_and_other_tokens_are_refused(tmp_path: Path, model_folder: Path) -> None:
    warm = msgspec.structs.replace(TRAIN, loss="topk_kl", temperature=2.0)
    run = run_of(tmp_path / "a", f"hf:{model_folder}", Cache(kind="topk"), warm)
    step(run, quiet)
    with pytest.raises(InputError, match=r"made with temperature 1\.0, the student has 2\.0"):
        perform(run, "train", quiet)
    run = run_of(
        tmp_path / "b", f"hf:{model_folder}", Cache(kind="topk"), msgspec.structs.replace(TRAIN, loss="topk_kl")
    )
    step(run, quiet)
    changed = Row(
        prompt_id=prompt_id("Which lake?"), prompt="Which lake?", sample=0, answer="No.", exchange_id="e", source="s"
    )
    write_rows(run.path("curate") / "curated.parquet", [changed])
    with pytest.raises(InputError, match="tokens are not those that the teacher saw"):
        perform(run, "train", quiet)


def test_a_teacher_without_weights_cannot_be_cached_from_its_logits(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="are not on this machine"):
        step(run_of(tmp_path, "openai:http://127.0.0.1:9/v1#m", Cache(kind="sampled")), quiet)
