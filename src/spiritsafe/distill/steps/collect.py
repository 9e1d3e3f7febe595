"""Stage 2: ask the teacher for what is not on disk yet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from spiritsafe.distill.answers import reusable
from spiritsafe.distill.batch import AskBatches
from spiritsafe.distill.batch_api import BatchApi
from spiritsafe.distill.budget import Budget, Spent
from spiritsafe.distill.collect import Ask, AskEach, Collected, Collector
from spiritsafe.distill.recipe import Collect
from spiritsafe.distill.requests import Requests
from spiritsafe.distill.rows import Prompt, all_prompts, write_rows
from spiritsafe.distill.stages import Run, write_atomic
from spiritsafe.distill.steps.terms import read_permission
from spiritsafe.distill.steps.types import Made, Report
from spiritsafe.distill.stopwatch import before as taken_before
from spiritsafe.distill.terms.grant import Grant
from spiritsafe.errors import InputError, Refused, ResourceError, UsageError
from spiritsafe.teach import open_teacher
from spiritsafe.teach.openai import OpenAITeacher
from spiritsafe.teach.types import Options, Teacher


def prompts_of(run: Run) -> list[Prompt]:
    """The prompts of all sources, each once."""
    return all_prompts(run.recipe.prompts, run.find)


def step(run: Run, report: Report) -> Made:
    """Collect. Raises ``ResourceError`` if requests got no answer: running again asks for those alone."""
    recipe, folder = run.recipe, run.path("collect")
    section = _permitted(recipe.collect, read_permission(run).grant)
    prompts = prompts_of(run)
    reuse = reusable(run)
    began = time.monotonic()

    def progress(done: int, of: int) -> None:
        seconds = time.monotonic() - began
        report(f"collect: {done} of {of} answers", done / of, seconds / done * (of - done) if done else None)

    # The collector itself asks again: it knows what else is under way.
    with closing(open_teacher(recipe.teacher.source, Options(attempts=1))) as teacher:
        done = collector(teacher, section, folder, reuse, before=taken_before(run.clock("collect"))).run(
            prompts,
            held_out=recipe.evaluate.held_out,
            seed=recipe.evaluate.seed,
            report=progress,
            say=report.say,
        )
    if done.failed:
        first = next(iter(done.failed.values()))
        raise ResourceError(
            f"{len(done.failed)} of {len(prompts)} requests got no answer (the first: {first})",
            remedy="Nothing is lost: run again with --resume and only those are asked.",
        )
    if done.refused and not done.rows:
        raise InputError(
            f"the teacher takes none of the requests (the first: {next(iter(done.refused.values()))})",
            remedy="Mend the recipe's collect section.",
        )
    path, refused = folder / "rows.parquet", folder / "refused.json"
    write_rows(path, done.rows)
    write_atomic(refused, msgspec.json.format(msgspec.json.encode(done.refused), indent=1))
    return Made([path, refused], _counts(done, recipe.collect.price.currency))


def _permitted(section: Collect, grant: Grant | None) -> Collect:
    """The section with its ceiling lowered to what the grant allows. Raises ``Refused`` once the grant has expired:
    the terms were checked before, perhaps long ago.
    """
    if grant is None:
        return section
    if datetime.now(UTC) >= grant.expires:
        raise Refused(
            f"the grant {grant.grant_id} held until {grant.expires:%Y-%m-%d}",
            remedy="Ask its issuer to renew it, and run again with --resume and the new file in teacher.grant.",
            where="teacher.grant",
        )
    ceiling = section.ceiling.within(tokens=grant.scope.max_tokens, requests=grant.scope.max_requests)
    return msgspec.structs.replace(section, ceiling=ceiling)


def collector(
    teacher: Teacher, section: Collect, folder: Path, reuse: Sequence[Path] = (), *, before: float = 0.0
) -> Collector:
    """What collects ``section`` from ``teacher`` into ``folder``; earlier processes took ``before`` seconds.

    Raises ``UsageError`` for batches where the teacher is no API.
    """
    count = getattr(teacher, "count", lambda text: len(text) // 3 + 8)  # about 3 characters a token at the least
    requests = Requests(teacher.name, section)
    budget = Budget(section.ceiling, section.price, batch=section.batch, before=before)
    ask: Ask
    if not section.batch:
        ask = AskEach(teacher, requests, section, budget, count=count)
    elif isinstance(teacher, OpenAITeacher):
        api = BatchApi(teacher.url, teacher.headers)
        ask = AskBatches(api, teacher, requests, section, budget, folder / "batches", count=count)
    else:
        raise UsageError(
            f"{teacher.name} has no batch endpoint",
            remedy="Set collect.batch to false, or learn from an API that has one (openai:URL#model).",
            where="collect.batch",
        )
    return Collector(requests, section, folder, ask, budget, reuse, count=count)


def _counts(done: Collected, currency: str) -> dict[str, int | float | str]:
    spent: Spent = done.spent
    return {
        "answers": len(done.rows),
        "asked": spent.requests,
        "reused": len(done.rows) - spent.requests,
        "unasked": done.unasked,
        "refused": len(done.refused),
        "stopped": done.stopped or "",
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "money": round(spent.money, 6),
        "currency": currency,
    }
