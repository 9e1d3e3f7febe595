"""The model card that stands beside a student's weights, in the Hugging Face form.

Everything in it comes from the run's own files; what was not measured or not written down is said to be missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

import yaml

from spiritsafe.distill.terms.types import NO_ADVICE, PURPOSES

if TYPE_CHECKING:
    from spiritsafe.distill.export import Exported
    from spiritsafe.distill.ledger import Bill, Total
    from spiritsafe.distill.recipe import Recipe
    from spiritsafe.distill.retention import Ratio
    from spiritsafe.distill.stages import Manifest, Stage
    from spiritsafe.distill.steps.evaluate import Evaluation
    from spiritsafe.evidence.lineage import Lineage
    from spiritsafe.evidence.signing import PublicKey

# The Hub's own identifiers for licences that the registry of terms knows; any other is "other" with its name.
HUB_LICENCES = {
    "apache-2.0": "apache-2.0",
    "cc-by-4.0": "cc-by-4.0",
    "cc-by-nc-4.0": "cc-by-nc-4.0",
    "gemma": "gemma",
    "llama-2": "llama2",
    "llama-3": "llama3",
    "llama-3.1": "llama3.1",
    "llama-3.2": "llama3.2",
    "llama-3.3": "llama3.3",
    "llama-4": "llama4",
    "mit": "mit",
}
MISSING = "not recorded"
_MARKUP = re.compile(r"([\\`*_\[\]<>|#])")


class Facts(NamedTuple):
    """What is known of a run when it is sealed; ``notices`` are the licence texts that were copied along."""

    lineage: Lineage
    recipe: Recipe
    manifests: Mapping[Stage, Manifest]
    evaluation: Evaluation | None
    bill: Bill | None
    exported: Exported
    gguf: str | None
    notices: tuple[str, ...]
    key: PublicKey


def card(facts: Facts) -> str:
    """The card as Markdown under its YAML front matter."""
    front = yaml.safe_dump(front_matter(facts), sort_keys=False, allow_unicode=True, width=1000)
    sections = (_title, _teacher, _conditions, _data, _training, _retention, _cost, _limits, _check)
    body = "\n\n".join("\n".join(section(facts)) for section in sections)
    return f"---\n{front}---\n\n{body}\n"


def front_matter(facts: Facts) -> dict[str, object]:
    """The metadata that the Hub reads."""
    student = facts.recipe.student
    base = facts.lineage.teacher.name if student.prune else _last(student.model or "")
    found: dict[str, object] = licence(facts)
    if base:
        found["base_model"] = [_identifier(base)]
    found["library_name"] = "transformers"
    found["pipeline_tag"] = "text-generation"
    found["tags"] = ["distillation", "spiritsafe", *(["gguf"] if facts.gguf else [])]
    files = {_identifier(_last(p.file)) for p in facts.lineage.prompts if not p.file.startswith("generate:")}
    if files:
        found["datasets"] = sorted(files)
    return found


def licence(facts: Facts) -> dict[str, object]:
    """The student's licence as far as the run decides it: weights that were the teacher's stay under its licence."""
    terms = facts.lineage.teacher.terms
    if facts.recipe.student.prune is None or not terms:
        return {"license": "unknown"}
    if len(terms) == 1 and terms[0].terms in HUB_LICENCES:
        return {"license": HUB_LICENCES[terms[0].terms]}
    link = next((t.url for t in terms if t.url), None)
    return {
        "license": "other",
        "license_name": "-and-".join(t.terms for t in terms),
        **({"license_link": link} if link else {}),
    }


def _title(facts: Facts) -> list[str]:
    exported, teacher = facts.exported, facts.lineage.teacher
    size = f"{exported.parameters:,} parameters ({', '.join(exported.dtypes)})"
    what = f"A language model of {size}, distilled from {_plain(teacher.name)}."
    purpose = f"The terms were asked for this purpose: {PURPOSES[facts.recipe.purpose]}."
    return [f"# {_plain(facts.lineage.name)}", "", what, purpose]


def _teacher(facts: Facts) -> list[str]:
    teacher = facts.lineage.teacher
    rows = [
        ("Name", _plain(teacher.name)),
        ("Reached as", _code(teacher.source)),
        ("SHA-256 of its weights", _code(teacher.sha256) if teacher.sha256 else "not at hand"),
        ("May one distil from it", f"**{teacher.verdict}**, asked on {teacher.checked:%Y-%m-%d}"),
    ]
    for terms in teacher.terms:
        read = f"read {terms.read:%Y-%m-%d}" if terms.read else "from recollection"
        where = f"[{_plain(terms.document)}]({terms.url})" if terms.url else _plain(terms.document)
        rows.append((f"Terms: {_plain(terms.name)}", f"{terms.verdict}; {where}, {read}"))
    if (grant := teacher.grant) is not None:
        parties = f"{_code(grant.grant_id)} by {_plain(grant.issuer)} to {_plain(grant.licensee)}"
        rows.append(("Grant", f"{parties}, until {grant.expires:%Y-%m-%d}; signed by key {_code(grant.key)}"))
    return ["## Teacher", "", *_table(("", ""), rows), "", *_bullets(teacher.reasons)]


def _conditions(facts: Facts) -> list[str]:
    teacher = facts.lineage.teacher
    lines = ["## Conditions that travel with it", ""]
    lines += _bullets(teacher.conditions) or ["The teacher's terms name none."]
    lines.append("")
    if facts.recipe.student.prune is not None:
        lines.append("Its weights began as the teacher's, so the teacher's licence holds for them.")
        if facts.notices:
            lines.append(f"The texts that lay beside them are here: {', '.join(map(_code, facts.notices))}.")
        else:
            lines.append("No licence text lay beside them: add it before you pass this model on.")
    else:
        lines.append("The recipe names no licence for the student's own weights.")
    lines += ["", NO_ADVICE]
    if not teacher.verified:
        lines.append("Part of the reading rests on recollection and was not checked against the source.")
    return lines


def _data(facts: Facts) -> list[str]:
    lineage = facts.lineage
    prompts = [
        (_code(p.file), p.licence or f"unknown; used on the word of {_plain(p.acknowledged_by or 'nobody')}")
        for p in lineage.prompts
    ]
    lines = ["## Data", "", *_table(("Prompts", "Licence"), prompts), ""]
    lines += _bullets([f"Asked of the teacher: {_counted(facts, 'collect')}", f"Curated: {_counted(facts, 'curate')}"])
    lines.append("")
    if lineage.record is not None:
        lines.append(f"The record of the answers has {lineage.record.rows:,} rows and ends in `{lineage.record.link}`.")
    else:
        lines.append(f"The head of the answers' record is {MISSING}.")
    return lines


def _training(facts: Facts) -> list[str]:
    recipe = facts.recipe
    section, student = recipe.train, recipe.student
    if student.prune is not None:
        named = ", ".join(map(str, student.prune.keep))
        which = named or (f"the {student.prune.layers} of highest influence" if student.prune.layers else "all")
        cut = f"; the vocabulary cut to {student.prune.vocabulary:,}" if student.prune.vocabulary else ""
        start = f"the teacher's layers: {which}{cut}"
    else:
        start = f"the model {_code(_last(student.model))}" if student.model else "fresh random weights"
    rows = [
        ("Began as", start),
        ("Loss", f"{section.loss}" + (f", with {section.sft_weight:g} of sft" if section.sft_weight else "")),
        ("Epochs, at most", f"{section.epochs:g}"),
        ("Batch", f"{section.batch} x {section.accumulate}, up to {section.max_length} tokens each"),
        ("Learning rate", f"{section.learning_rate:g}"),
        ("Adapters", f"LoRA of rank {section.lora.rank}, merged" if section.lora else "none: all weights trained"),
        ("Written by the student itself", f"{section.on_policy:.0%} of the steps"),
        ("Teacher's distributions", "not kept" if recipe.cache.kind == "none" else recipe.cache.kind),
        ("Seed", str(section.seed)),
    ]
    return ["## How it was trained", "", *_table(("", ""), rows), "", f"- Trained: {_plain(_counted(facts, 'train'))}"]


def _retention(facts: Facts) -> list[str]:
    found = facts.evaluation
    lines = ["## What it kept of its teacher", ""]
    if found is None:
        return [*lines, f"Retention is {MISSING}: the student was not evaluated."]
    untouched = {ratio.measure: ratio for ratio in found.retention_untouched}
    if found.retention:
        kept = [
            (r.measure, _ratio(r), _ratio(untouched.get(r.measure)), f"{r.n:,}", f"{r.confidence:g}")
            for r in found.retention
        ]
        lines += _table(("Student over teacher", "This student", "Before training", "Prompts", "Confidence"), kept)
        lines.append("")
        lines.append("Intervals are bootstrap percentiles over prompts that were held out of training.")
    else:
        lines.append(f"Retention was not measured: {found.why_not or 'no reason was written down'}.")
    columns = ("On held-out answers", "Nats a token", "Agreement", "KL", "Right", "Parameters", "Tokens a second")
    measured = [
        (
            _plain(m.model),
            _number(m.cross_entropy, ".3f"),
            _number(m.agreement, ".3f"),
            _number(m.kl, ".3f"),
            _number(m.accuracy, ".1%"),
            _number(m.parameters, ","),
            _number(m.tokens_per_second, ".1f"),
        )
        for m in found.measured
    ]
    lines += ["", *_table(columns, measured), "", f"Agreement is with {found.agreement_with}; {found.prompts} prompts."]
    if found.tasks:
        tasks = [
            (_code(t.task), _plain(t.model), t.metric, f"{t.value:.3f}", _number(t.stderr, ".3f"), f"{t.n:,}")
            for t in found.tasks
        ]
        lines += ["", *_table(("lm-eval task", "Model", "Metric", "Value", "Standard error", "Documents"), tasks)]
    return lines


def _cost(facts: Facts) -> list[str]:
    lines = ["## What it cost", ""]
    seconds = [(stage, f"{manifest.seconds:,.1f}") for stage, manifest in facts.manifests.items()]
    if (bill := facts.bill) is None:
        return [*lines, f"A ledger is {MISSING}; the stages took:", "", *_table(("Stage", "Seconds"), seconds)]
    columns = ("Stage", "Hours", "Tokens in", "Tokens out", "Trained on", "FLOPs", "kWh", "Money")
    rows = [_spent(stage, total) for stage, total in bill.stages.items()] + [_spent("all", bill.total)]
    lines += [*_table(columns, rows), "", f"Energy assumes {bill.energy_assumption}."]
    if bill.of_from_nothing is not None:
        lines.append(
            f"Training the same student from nothing would take {1 / bill.of_from_nothing:,.0f} times the FLOPs."
        )
    return lines


def _limits(facts: Facts) -> list[str]:
    found = [
        "It says what its teacher said, mistakes included; nothing here measures safety, bias or truth.",
        "Retention is over prompts like those it was trained on; elsewhere it may keep less.",
    ]
    if facts.evaluation is None or not facts.evaluation.retention:
        found.append("How much of the teacher it kept is unknown.")
    if any(p.licence is None for p in facts.lineage.prompts):
        found.append("Some of its prompts have no known licence.")
    if facts.lineage.signer.origin == "fresh":
        found.append("The key was made for this run: it shows that one hand signed everything, not whose.")
    return ["## Limits", "", *_bullets(found)]


def _check(facts: Facts) -> list[str]:
    lines = [
        "## Check it",
        "",
        "`lineage.dsse.json` says, signed, where the model comes from; `model.sig` covers every file.",
        "",
        "```",
        f"spiritsafe verify . --key {facts.key.fingerprint}",
    ]
    if facts.key.kind != "ed25519":
        lines.append("model_signing verify key . --signature model.sig --public_key signer.pem")
    origin = "made for this run" if facts.lineage.signer.origin == "fresh" else "its owner's own"
    return [*lines, "```", "", f"The key is `{facts.key.fingerprint}` ({facts.key.kind}, {origin})."]


def _counted(facts: Facts, stage: Stage) -> str:
    """A stage's counts in one line."""
    manifest = facts.manifests.get(stage)
    if manifest is None:
        return f"{MISSING}."
    counts = [
        f"{name.replace('_', ' ')} {f'{value:,}' if isinstance(value, int) else value}"
        for name, value in manifest.counts.items()
        if value != ""
    ]
    return f"{', '.join(counts)}."


def _spent(stage: str, total: Total) -> tuple[str, ...]:
    money = ", ".join(f"{value:,.2f} {currency}" for currency, value in total.money.items()) or "0"
    tokens = (f"{n:,}" for n in (total.tokens_in, total.tokens_out, total.tokens_trained))
    return (stage, f"{total.seconds / 3600:.3f}", *tokens, f"{total.flops:.3e}", f"{total.kwh:.4f}", money)


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None or ratio.value is None:
        return MISSING
    if ratio.interval is None:
        return f"{ratio.value:.3f}, no interval"
    return f"{ratio.value:.3f} [{ratio.interval[0]:.3f}, {ratio.interval[1]:.3f}]"


def _number(value: float | None, form: str) -> str:
    return MISSING if value is None or not math.isfinite(value) else format(value, form)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    line = "| {} |"
    cells = [[cell.replace("\n", " ") for cell in row] for row in rows]
    return [
        line.format(" | ".join(columns)),
        f"|{' --- |' * len(columns)}",
        *(line.format(" | ".join(c)) for c in cells),
    ]


def _bullets(lines: Iterable[str]) -> list[str]:
    return [f"- {_plain(line)}" for line in lines]


def _plain(text: str) -> str:
    """``text`` without power over the page it stands on."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    return f"`{text.replace('`', chr(39)).replace('|', '/')}`"


def _last(path: str) -> str:
    """What a file or folder is called, without where it lies."""
    return PurePath(path).name


def _identifier(name: str) -> str:
    """A name in the form of a Hub identifier: at most one slash, no odd characters."""
    return "/".join(re.sub(r"[^\w.-]+", "-", part) for part in name.split("/")[-2:])
