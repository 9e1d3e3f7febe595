from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from transformers import AutoTokenizer

from spiritsafe.distill.pipeline import perform
from spiritsafe.distill.recipe import Cache, Collect, Prompts, Prune, Recipe, Sampling, Student, Teacher, Train
from spiritsafe.distill.requests import Requests
from spiritsafe.distill.rows import Prompt, Row, prompt_id, write_rows
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.cache import step
from spiritsafe.distill.train import read_metrics
from spiritsafe.errors import InputError, UsageError
from spiritsafe.record.log import SealedLog
from spiritsafe.teach.detokenize import pieces
from spiritsafe.teach.types import Answer, Candidate, Token

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


def test_an_apis_logprobs_are_cached_in_the_students_tokens_and_trained_on(tmp_path: Path, model_folder: Path) -> None:
    run, rows = api_run(tmp_path, model_folder, Cache(kind="topk"))
    counts = step(run, quiet).counts
    assert (counts["left_out"], counts["kind"]) == (1, "topk")
    assert "'wrong'" in (run.path("cache") / "left_out.json").read_text()
    write_rows(run.path("curate") / "curated.parquet", rows)
    assert first_loss(run) >= 0.0
    manifest = run.manifest("train")
    assert manifest is not None
    assert (manifest.counts["examples"], manifest.counts["not_in_cache"]) == (5, 1)


def test_what_an_api_can_not_tell_is_refused(tmp_path: Path, model_folder: Path) -> None:
    run, _ = api_run(tmp_path / "a", model_folder, Cache(kind="topk", temperature=2.0))
    with pytest.raises(UsageError, match="taken at temperature 1, not 2"):
        step(run, quiet)
    run, _ = api_run(tmp_path / "b", model_folder, Cache(kind="topk"), student=Student(prune=Prune(layers=2)))
    with pytest.raises(UsageError, match="a model of its own"):
        step(run, quiet)


def api_run(folder: Path, model_folder: Path, cache: Cache, *, student: Student | None = None) -> tuple[Run, list[Row]]:
    """A run that has collected six answers with logprobs from an API; one of them is in other tokens."""
    collect = Collect(sampling=Sampling(top_logprobs=2))
    recipe = Recipe(
        purpose="student",
        teacher=Teacher(source="openai:http://127.0.0.1:9/v1#m"),
        prompts=(Prompts(file="p.jsonl", licence="CC0-1.0"),),
        student=student or Student(model=str(model_folder)),
        collect=collect,
        cache=cache,
        train=msgspec.structs.replace(TRAIN, loss="topk_kl"),
    )
    folder.mkdir(exist_ok=True)
    run = Run.start(folder / "run", recipe, folder, resume=False)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    requests, data = Requests("m", collect), pieces(tokenizer)
    rows = []
    with SealedLog.open(run.path("collect") / "record", pace=0.0) as log:
        for i in range(6):
            text = f"The farmer has {i} hens."
            prompt = Prompt(prompt_id=prompt_id(text), text=text, source="s")
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            names = [b"wrong"] if i == 3 else [data[t] for t in ids]
            tokens = tuple(Token(None, n.decode(), n, -0.5, (Candidate(None, " the", b" the", -1.5),)) for n in names)
            answer = Answer(choice=0, text=text, tokens=tokens, finish="stop")
            exchange = requests.answered(prompt, 0, answer, datetime.now(UTC), 0.1)
            log.append(exchange).result()
            rows.append(
                Row(
                    prompt_id=prompt.prompt_id,
                    prompt=text,
                    sample=0,
                    answer=text,
                    exchange_id=exchange.exchange_id,
                    source="s",
                )
            )
    write_rows(run.path("collect") / "rows.parquet", rows)
    return run, rows
