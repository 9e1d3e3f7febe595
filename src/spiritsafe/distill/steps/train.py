"""Stage 5: make the student and train it."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import torch
from transformers import PreTrainedModel

from spiritsafe.distill import checkpoint, vocabulary
from spiritsafe.distill.batches import encode
from spiritsafe.distill.curve import curve_of, draw
from spiritsafe.distill.losses import LOSSES
from spiritsafe.distill.on_policy import OnPolicy
from spiritsafe.distill.recipe import Recipe
from spiritsafe.distill.rows import Row, read_rows
from spiritsafe.distill.stages import Run, write_atomic
from spiritsafe.distill.steps.cache import Cached
from spiritsafe.distill.steps.types import Made, Report
from spiritsafe.distill.student import (
    block_influence,
    fresh_model,
    keep_tokens,
    load_model,
    most_influential,
    parameters,
    prune_layers,
)
from spiritsafe.distill.targets import Aligned, Live, Targets, same_tokens, tokens
from spiritsafe.distill.train import Progress, read_metrics, train
from spiritsafe.distill.weights import load_tokenizer, weights_folder
from spiritsafe.errors import UsageError

CALIBRATION = 32


def step(run: Run, report: Report) -> Made:
    """Train, going on from the last checkpoint if there is one. ``start`` keeps the untouched student."""
    recipe, folder = run.recipe, run.path("train")
    section = recipe.train
    if section.threads is not None:
        torch.set_num_threads(section.threads)
    rows = [r for r in read_rows(run.path("curate") / "curated.parquet") if r.reason is None]
    start = folder / "start"
    if not (start / "config.json").exists():
        _make_student(run, rows, start)
    tokenizer = load_tokenizer(start)
    examples = [e for r in rows if (e := encode(tokenizer, r, section.max_length))]
    model = load_model(start, torch.float32)
    targets = _targets(run, rows, tokenizer, model.config.vocab_size)
    short = len(examples)
    if isinstance(targets, Cached):
        examples = [e for e in examples if targets.holds(e)]
    trained_model, merge = _adapted(model, recipe)
    write = OnPolicy(trained_model, tokenizer, section) if section.on_policy > 0 else None

    def progress(now: Progress) -> None:
        report(
            f"train: step {now.step} of {now.steps}, loss {now.loss:.3f}",
            1.0 - now.left / (now.left + now.seconds),
            now.left,
        )

    done = train(trained_model, examples, targets, section, folder, pad=_pad(tokenizer), write=write, report=progress)
    final = merge()
    out = folder / "model"
    final.save_pretrained(out)
    tokenizer.save_pretrained(out)
    checkpoint.discard(folder / "checkpoints")
    curve = curve_of(read_metrics(folder / "metrics.jsonl"))
    write_atomic(folder / "curve.json", msgspec.json.encode(curve))
    draw(curve, folder / "curve.png", title=f"{section.loss}, {done.steps} steps, {done.tokens:,} tokens")
    outputs = [p for place in (start, out) for p in place.rglob("*") if p.is_file()]
    counts: dict[str, int | float | str] = {
        "examples": len(examples),
        "too_long": len(rows) - short,
        "not_in_cache": short - len(examples),
        "steps": done.steps,
        "tokens": done.tokens,
        "answer_tokens": sum(e.answer for e in examples),
        "train_seconds": done.seconds,
        "parameters": parameters(final),
        "loss": section.loss,
    }
    return Made([*outputs, *(folder / n for n in ("metrics.jsonl", "curve.json", "curve.png"))], counts)


def _pad(tokenizer: Any) -> int:
    return int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)


def _make_student(run: Run, rows: Sequence[Row], out: Path) -> None:
    """Write the untouched student and its tokenizer to ``out``, in one move."""
    section = run.recipe.student
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    if section.prune is not None:
        folder = weights_folder(run.recipe.teacher.source)
        tokenizer = load_tokenizer(folder)
        model = load_model(folder, torch.float32)
        keep = list(section.prune.keep)
        if not keep and section.prune.layers is not None:
            coded = [e.ids for r in rows[:CALIBRATION] if (e := encode(tokenizer, r, 512))]
            influence = block_influence(model, [torch.tensor([ids]) for ids in coded])
            keep = most_influential(influence, section.prune.layers)
        if keep:
            model = prune_layers(model, keep)
        if section.prune.vocabulary is not None:
            texts = [t for r in rows for t in (r.prompt, r.answer, r.reasoning or "")]
            small, kept = vocabulary.cut(tokenizer.backend_tokenizer, texts, section.prune.vocabulary)
            model = keep_tokens(model, kept)
            tokenizer = _with_backend(tokenizer, small)
    elif section.model is not None:
        folder = run.find(section.model)
        tokenizer, model = load_tokenizer(folder), load_model(folder, torch.float32)
    else:
        assert section.config is not None
        tokenizer = load_tokenizer(weights_folder(run.recipe.teacher.source))
        model = fresh_model(run.find(section.config), torch.float32, run.recipe.train.seed)
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    part.rename(out)


def _with_backend(tokenizer: Any, backend: Any) -> Any:
    """The same wrapper (chat template, special tokens) around a cut tokenizer."""
    special = {n: getattr(tokenizer, n) for n in ("bos_token", "eos_token", "pad_token", "unk_token")}
    given = {n: t for n, t in special.items() if t is not None}
    return type(tokenizer)(tokenizer_object=backend, chat_template=tokenizer.chat_template, **given)


def _targets(run: Run, rows: Sequence[Row], tokenizer: Any, vocabulary: int) -> Targets:
    """What the recipe's loss compares with. Another tokenizer is refused unless the loss can do without the same."""
    section = run.recipe.train
    needs, must_match = LOSSES[section.loss] if section.loss in LOSSES else _unknown(section.loss)
    if needs == "tokens":
        return tokens
    if needs in ("topk", "sampled"):
        return Cached(run, needs, tokenizer, vocabulary)
    folder = weights_folder(run.recipe.teacher.source)
    own = load_tokenizer(folder)
    teacher = load_model(folder, torch.bfloat16 if section.precision == "bfloat16" else torch.float32)
    if same_tokens(tokenizer, own):
        return Live(teacher)
    if must_match or not section.align:
        raise UsageError(
            f"teacher and student have different tokenizers, and {section.loss} compares token by token",
            remedy="Set train.loss to uld and train.align to true, or train on the answers alone (sft).",
            where="train.loss",
        )
    examples = {e.key: e for r in rows if (e := encode(own, r, 4 * section.max_length))}
    return Aligned(teacher, examples, _pad(own))


def _unknown(name: str) -> tuple[str, bool]:
    raise UsageError(f"no loss is called {name!r}", remedy=f"Valid names: {', '.join(LOSSES)}.", where="train.loss")


def _adapted(model: PreTrainedModel, recipe: Recipe) -> tuple[PreTrainedModel, Any]:
    """The model to train, and how to get the finished one from it: itself, or with its adapters merged in."""
    lora = recipe.train.lora
    if lora is None:
        return model, lambda: model
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(recipe.train.seed)
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=list(lora.targets), task_type="CAUSAL_LM")
    with warnings.catch_warnings():  # peft asks transformers by a name that transformers 5 has deprecated
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        wrapped = get_peft_model(model, config)
    return cast("PreTrainedModel", wrapped.get_base_model()), wrapped.merge_and_unload
