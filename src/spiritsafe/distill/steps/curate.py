"""Stage 4: decide which answers the student learns from."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack

import msgspec

from spiritsafe.distill.curate import Curated, curate
from spiritsafe.distill.recipe import Prompts, Verifier
from spiritsafe.distill.rows import read_prompts, read_rows, write_rows
from spiritsafe.distill.stages import Run, write_atomic
from spiritsafe.distill.steps.types import Made, Report
from spiritsafe.distill.verifiers import Code, Exact, Judge, Number, Verify
from spiritsafe.errors import InputError, UsageError
from spiritsafe.teach import open_teacher
from spiritsafe.teach.types import Sampling

EXAMPLES = 3


def step(run: Run, report: Report) -> Made:
    """Curate the collected rows; ``curated.parquet`` has them all, ``report.json`` the counts and examples."""
    section, folder = run.recipe.curate, run.path("curate")
    rows = read_rows(run.path("collect") / "rows.parquet")
    evaluation = [p.text for name in section.against for p in read_prompts(Prompts(file=name), run.find(name))]
    with ExitStack() as stack:
        done = curate(rows, section, evaluation, verifier(section.verify, stack))
    if not done.kept:
        worst = ", ".join(f"{name} {n}" for name, n in done.counts().items())
        raise InputError(f"curation kept no answer ({worst})", remedy="Loosen the recipe's curate section.")
    path, summary = folder / "curated.parquet", folder / "report.json"
    write_rows(path, done.rows)
    write_atomic(summary, msgspec.json.format(msgspec.json.encode(_summary(done)), indent=1))
    report(f"curate: kept {len(done.kept)} of {len(rows)}", 1.0, 0.0)
    return Made([path, summary], {**done.counts()})


def verifier(section: Verifier, stack: ExitStack) -> Verify | None:
    """The verifier that a recipe asks for; a judge's model is closed with ``stack``."""
    if section.kind == "none":
        return None
    if section.kind == "number":
        return Number(section.tolerance)
    if section.kind == "exact":
        return Exact()
    if section.kind == "code":
        return Code(section.seconds)
    if section.judge is None:
        raise UsageError("a judge needs a model", remedy="Set curate.verify.judge to a teacher's name.", where="curate")
    model = open_teacher(section.judge)
    stack.callback(model.close)
    greedy = Sampling(temperature=0.0, max_tokens=16)
    return Judge(lambda question: model.generate([question], greedy)[0][0].text, section.judge)


def _summary(done: Curated) -> dict[str, object]:
    examples: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in done.rows:
        if row.reason is not None and len(examples[kind := row.reason.split(":")[0]]) < EXAMPLES:
            examples[kind].append({"prompt": row.prompt[:200], "answer": row.answer[:200], "reason": row.reason})
    return {"counts": done.counts(), "examples": examples}
