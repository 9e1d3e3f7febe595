from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spiritsafe.distill.pipeline import perform
from spiritsafe.distill.recipe import Prompts, Prune, Recipe, Student, Teacher, Train
from spiritsafe.distill.rows import Row, write_rows
from spiritsafe.distill.stages import Run
from spiritsafe.distill.train import read_metrics
from spiritsafe.errors import ResourceError


def trained(folder: Path, model: Path, heard, **section: object) -> Run:
    recipe = Recipe(
        purpose="student",
        teacher=Teacher(source=f"hf:{model}"),
        prompts=(Prompts(file="p.jsonl", licence="CC0-1.0"),),
        student=Student(prune=Prune(layers=2)),
        train=Train(steps=3, epochs=9, precision="float32", threads=1, **section),  # type: ignore[arg-type]
    )
    run = Run.start(folder, recipe, folder, resume=False)
    rows = [
        Row(
            prompt_id=f"p{i}", prompt=f"What is {i} and one?", sample=0, answer=f"It is {i + 1}.", exchange_id=f"e{i}",
            source="s", held_out=False, reason=None,
        )
        for i in range(8)
    ]  # fmt: skip
    write_rows(run.path("curate") / "curated.parquet", rows)
    perform(run, "train", heard)
    return run


@pytest.mark.slow
def test_two_processes_train_the_same_student_as_one(tmp_path: Path, model_folder: Path, heard) -> None:
    alone = trained(tmp_path / "alone", model_folder, heard, batch=4)
    together = trained(tmp_path / "together", model_folder, heard, batch=2, processes=2)
    losses = [[s.loss for s in read_metrics(r.path("train") / "metrics.jsonl")] for r in (alone, together)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    a, b = (load_file(r.path("train") / "model" / "model.safetensors") for r in (alone, together))
    assert all(torch.allclose(a[name], b[name], atol=1e-4) for name in a)
    assert any("matmul peak" in what for what in heard.said)


@pytest.mark.slow
def test_a_process_that_fails_is_named(tmp_path: Path, model_folder: Path, heard) -> None:
    with pytest.raises(ResourceError, match=r"processes ended with 1.*processes\.log"):
        trained(tmp_path / "run", model_folder, heard, loss="uld", processes=2, align=True, max_length=1)
