"""From a stage's manifest to its entry in the ledger."""

from __future__ import annotations

import json
import math
from pathlib import Path

from spiritsafe.distill.flops import TRAIN, forward
from spiritsafe.distill.ledger import Book, Entry
from spiritsafe.distill.losses import LOSSES
from spiritsafe.distill.stages import Manifest, Run

WHAT = {
    "terms": "checking the terms",
    "collect": "asking the teacher",
    "cache": "keeping the teacher's distributions",
    "curate": "choosing answers",
    "train": "training the student",
    "evaluate": "measuring the student",
    "seal": "writing and signing",
}


def entered(run: Run, manifest: Manifest) -> bool:
    """Whether the ledger has what this finished stage spent."""
    book = Book(run.folder)
    return any(e.stage == manifest.stage and e.time == manifest.finished for e in book.ledger.entries)


def enter(run: Run, manifest: Manifest, teacher_params: float | None) -> None:
    """Write what a finished stage spent into the run's ledger. FLOPs are left at 0 where the parameters that did the
    work are not known: those of a teacher behind an API are its provider's.
    """
    counts = {name: value for name, value in manifest.counts.items() if not isinstance(value, str)}
    student = float(counts["parameters"]) if manifest.stage == "train" else None
    book = Book(run.folder)
    book.about(teacher=_teacher(run), teacher_params=teacher_params, student_params=student)
    trained = int(counts.get("tokens", 0)) if manifest.stage == "train" else 0
    read = int(counts.get("prompt_tokens", 0)) + (int(counts.get("tokens", 0)) if manifest.stage == "cache" else 0)
    written = int(counts.get("completion_tokens", 0))
    flops = forward(teacher_params, read + written) if teacher_params is not None else 0.0
    if student is not None:
        flops = TRAIN * student * trained + _teachers_part(run, teacher_params, student, trained)
    book.add(
        Entry(
            stage=manifest.stage,
            what=WHAT[manifest.stage],
            time=manifest.finished,
            seconds=manifest.seconds,
            tokens_in=read,
            tokens_out=written,
            tokens_trained=trained,
            flops=flops,
            money=float(counts.get("money", 0.0)),
            currency=str(manifest.counts.get("currency", "USD")),
            reused=int(counts.get("reused", 0)),
        )
    )


def _teacher(run: Run) -> str:
    """The name under which the teacher's published costs would stand."""
    return run.recipe.teacher.terms or run.recipe.teacher.source.rpartition("#")[2]


def _teachers_part(run: Run, teacher: float | None, student: float, tokens: int) -> float:
    """A live teacher reads all that is trained on; in on-policy steps the student writes it first."""
    section = run.recipe.train
    live = section.loss in LOSSES and LOSSES[section.loss].needs == "dense"
    total = forward(teacher, tokens) if live and teacher is not None else 0.0
    return total + section.on_policy * forward(student, tokens)


def parameters_in(folder: Path) -> float | None:
    """How many weights a folder's safetensors hold, read from their headers; None where there are none."""
    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        total += sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return float(total) if total else None
