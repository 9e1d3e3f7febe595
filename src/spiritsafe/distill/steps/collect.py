"""Stage 2: ask the teacher for what is not on disk yet."""

from __future__ import annotations

import time

from spiritsafe.distill.answers import record_folder
from spiritsafe.distill.budget import Spent
from spiritsafe.distill.collect import Collected, Collector
from spiritsafe.distill.rows import Prompt, all_prompts, write_rows
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.types import Made, Report
from spiritsafe.errors import ResourceError
from spiritsafe.teach import open_teacher


def prompts_of(run: Run) -> list[Prompt]:
    """The prompts of all sources, each once."""
    return all_prompts(run.recipe.prompts, run.find)


def step(run: Run, report: Report) -> Made:
    """Collect. Raises ``ResourceError`` if requests got no answer: running again asks for those alone."""
    recipe, folder = run.recipe, run.path("collect")
    prompts = prompts_of(run)
    reuse = [record_folder(run.find(name)) for name in recipe.collect.reuse]
    teacher = open_teacher(recipe.teacher.source)
    began = time.monotonic()

    def progress(done: int, of: int) -> None:
        seconds = time.monotonic() - began
        report(f"collect: {done} of {of} answers", done / of, seconds / done * (of - done))

    try:
        count = getattr(teacher, "count", lambda text: len(text) // 3 + 8)  # about 3 characters a token at the least
        collector = Collector(teacher, recipe.collect, folder, count=count, reuse=reuse)
        done = collector.run(prompts, held_out=recipe.evaluate.held_out, seed=recipe.evaluate.seed, report=progress)
    finally:
        teacher.close()
    if done.failed:
        first = next(iter(done.failed.values()))
        raise ResourceError(
            f"{len(done.failed)} of {len(prompts)} requests got no answer (the first: {first})",
            remedy="Nothing is lost: run again with --resume and only those are asked.",
        )
    path = folder / "rows.parquet"
    write_rows(path, done.rows)
    return Made([path], _counts(done, recipe.collect.price.currency))


def _counts(done: Collected, currency: str) -> dict[str, int | float | str]:
    spent: Spent = done.spent
    return {
        "answers": len(done.rows),
        "asked": spent.requests,
        "reused": len(done.rows) - spent.requests,
        "unasked": done.unasked,
        "stopped": done.stopped or "",
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "money": round(spent.money, 6),
        "currency": currency,
    }
