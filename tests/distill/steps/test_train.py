from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from transformers import AutoTokenizer

from spiritsafe.distill.recipe import Lora, Prompts, Prune, Recipe, Student, Teacher, Train
from spiritsafe.distill.rows import Row, prompt_id, write_rows
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.train import step
from spiritsafe.distill.student import load_model
from spiritsafe.errors import UsageError

SECTION = Train(steps=2, epochs=9, batch=2, precision="float32", max_length=96)


def run_of(folder: Path, source: Path, student: Student, section: Train = SECTION) -> Run:
    recipe = Recipe(
        purpose="student",
        teacher=Teacher(source=f"hf:{source}"),
        prompts=(Prompts(file="p.jsonl", licence="CC0-1.0"),),
        student=student,
        train=section,
    )
    run = Run.start(folder / "run", recipe, folder, resume=False)
    texts = {"Name a river.": "The Rhine.", "How many hens?": "Seventeen hens.", "Which lake?": "The same lake."}
    rows = [
        Row(prompt_id=prompt_id(p), prompt=p, sample=0, answer=a, exchange_id="e", source="s") for p, a in texts.items()
    ]
    write_rows(run.path("curate") / "curated.parquet", rows)
    return run


def quiet(what: str, share: float, left: float | None) -> None:
    assert what.startswith("train: step")


def test_a_pruned_student_keeps_what_it_was_before_training(tmp_path: Path, model_folder: Path) -> None:
    run = run_of(tmp_path, model_folder, Student(prune=Prune(layers=3)))
    made = step(run, quiet)
    start, end = (load_model(run.path("train") / n, torch.float32) for n in ("start", "model"))
    assert start.config.num_hidden_layers == end.config.num_hidden_layers == 3
    assert any(not torch.equal(a, b) for a, b in zip(start.parameters(), end.parameters(), strict=True))
    assert made.counts["steps"] == 2
    assert not (run.path("train") / "checkpoints").exists()
    assert {"start/model.safetensors", "model/model.safetensors", "metrics.jsonl"} <= {
        p.relative_to(run.path("train")).as_posix() for p in made.outputs
    }


def test_a_cut_vocabulary_goes_with_its_tokenizer(tmp_path: Path, model_folder: Path) -> None:
    run = run_of(tmp_path, model_folder, Student(prune=Prune(keep=(0, 3), vocabulary=320)))
    step(run, quiet)
    tokenizer = AutoTokenizer.from_pretrained(run.path("train") / "model")
    model = load_model(run.path("train") / "model", torch.float32)
    assert model.config.vocab_size == len(tokenizer) <= 320
    text = tokenizer.apply_chat_template([{"role": "user", "content": "hens"}], tokenize=False)
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_another_tokenizer_is_refused_unless_the_loss_aligns(tmp_path: Path, model_folder: Path) -> None:
    student = Student(prune=Prune(keep=(0, 3), vocabulary=320))
    live = msgspec.structs.replace(SECTION, loss="forward_kl")
    (tmp_path / "a").mkdir()
    with pytest.raises(UsageError, match="different tokenizers"):
        step(run_of(tmp_path / "a", model_folder, student, live), quiet)
    aligned = msgspec.structs.replace(SECTION, loss="uld", align=True, sft_weight=0.5)
    assert step(run_of(tmp_path, model_folder, student, aligned), quiet).counts["steps"] == 2


def test_adapters_are_merged_into_a_plain_model(tmp_path: Path, model_folder: Path) -> None:
    section = msgspec.structs.replace(SECTION, lora=Lora(rank=2, alpha=4), learning_rate=0.01)
    run = run_of(tmp_path, model_folder, Student(model=str(model_folder)), section)
    step(run, quiet)
    start, end = (load_model(run.path("train") / n, torch.float32) for n in ("start", "model"))
    assert [n for n, _ in start.named_parameters()] == [n for n, _ in end.named_parameters()]
    changed = {n for (n, a), b in zip(start.named_parameters(), end.parameters(), strict=True) if not torch.equal(a, b)}
    assert changed
    assert all("proj" in n for n in changed)


def test_on_policy_steps_need_no_collected_answers(tmp_path: Path, model_folder: Path) -> None:
    section = msgspec.structs.replace(SECTION, loss="reverse_kl", on_policy=1.0, max_length=48)
    assert step(run_of(tmp_path, model_folder, Student(prune=Prune(layers=2)), section), quiet).counts["steps"] == 2


def test_a_loss_that_is_none_names_those_that_are(tmp_path: Path, model_folder: Path) -> None:
    run = run_of(tmp_path, model_folder, Student(prune=Prune(layers=2)), msgspec.structs.replace(SECTION, loss="kl"))
    with pytest.raises(UsageError, match="Valid names: sft"):
        step(run, quiet)
