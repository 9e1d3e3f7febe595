"""lm-eval's tasks as part of an evaluation (the extra ``spiritsafe[lm-eval]``)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
from transformers import PreTrainedModel

from spiritsafe.errors import InputError, ResourceError, UsageError

BATCH = 8


class TaskScore(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one task, as lm-eval gives it: ``stderr`` is its standard error, None where it has none, ``n`` how
    many documents were asked, ``version`` the task's.
    """

    model: str
    task: str
    metric: str
    value: float
    stderr: float | None
    n: int
    version: str


def run_tasks(
    name: str,
    model: PreTrainedModel,
    tokenizer: Any,
    tasks: Sequence[str],
    *,
    folder: Path | None,
    limit: int | None,
    seed: int,
) -> list[TaskScore]:
    """Ask ``model`` the ``tasks``; ``folder`` holds task files of one's own, ``limit`` bounds the documents of each.

    lm-eval fetches the data of its own tasks from their publishers. Raises ``UsageError`` where the extra is missing
    or a task is unknown, ``ResourceError`` where a task's data can't be had.
    """
    try:
        lm_eval = import_module("lm_eval")
        asked = import_module("lm_eval.models.huggingface").HFLM
        managing = import_module("lm_eval.tasks").TaskManager
    except ImportError as error:
        raise UsageError(
            "evaluate.tasks needs lm-eval", remedy="pip install 'spiritsafe[lm-eval]'", where="evaluate.tasks"
        ) from error
    manager = managing(include_path=None if folder is None else str(folder))
    missing = [t for t in tasks if t not in manager.all_tasks]
    if missing:
        raise UsageError(
            f"lm-eval knows no task {', '.join(missing)}",
            remedy="Names: lm-eval ls tasks. Task files of your own: evaluate.task_folder.",
            where="evaluate.tasks",
        )
    with contextlib.redirect_stderr(io.StringIO()):  # bars of its own, beside ours
        try:
            found = lm_eval.simple_evaluate(
                model=asked(pretrained=model, tokenizer=tokenizer, batch_size=BATCH),
                tasks=list(tasks),
                task_manager=manager,
                limit=limit,
                log_samples=False,
                random_seed=seed,
                numpy_random_seed=seed,
                torch_random_seed=seed,
                fewshot_random_seed=seed,
            )
        except (OSError, ConnectionError) as error:
            raise ResourceError(
                f"a task's data can't be had: {error}",
                remedy="Fetch it beforehand, or name tasks whose data is here.",
                where="evaluate.tasks",
            ) from error
    if found is None:
        raise InputError("lm-eval gave no result", remedy="Run on the first process alone.", where="evaluate.tasks")
    return _scores(name, found)


def _scores(name: str, found: dict[str, Any]) -> list[TaskScore]:
    scores = []
    for task, metrics in found["results"].items():
        for key, value in metrics.items():
            metric, _, kind = key.partition(",")
            if not kind or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = metrics.get(f"{metric}_stderr,{kind}")
            scores.append(
                TaskScore(
                    model=name,
                    task=task,
                    metric=metric if kind == "none" else f"{metric} ({kind})",
                    value=float(value),
                    stderr=float(error) if isinstance(error, int | float) else None,
                    n=int(found["n-samples"][task]["effective"]),
                    version=str(found["versions"].get(task, "")),
                )
            )
    return scores
