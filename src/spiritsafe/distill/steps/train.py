"""Stage 5: make the student and train it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
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
from spiritsafe.distill.device import precision_on, processes
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
from spiritsafe.errors import ResourceError, UsageError

CALIBRATION = 32
FITTED = "fitted.json"
LOOK = 0.5  # seconds between two looks at processes that train


def step(run: Run, report: Report) -> Made:
    """Train, going on from the last checkpoint if there is one. ``start`` keeps the untouched student."""
    folder = run.path("train")
    section = run.recipe.train
    start, out, fitted = folder / "start", folder / "model", folder / FITTED
    if not (start / "config.json").exists():
        _make_student(run, _chosen(run), start)
    fitted.unlink(missing_ok=True)
    if section.processes == 1:
        fit(run, report)
    else:
        _fit_together(run, report)
    counts = msgspec.json.decode(fitted.read_bytes(), type=dict[str, int | float | str])
    checkpoint.discard(folder / "checkpoints")
    curve = curve_of(read_metrics(folder / "metrics.jsonl"))
    write_atomic(folder / "curve.json", msgspec.json.encode(curve))
    draw(curve, folder / "curve.png", title=f"{section.loss}, {counts['steps']} steps, {counts['tokens']:,} tokens")
    outputs = [p for place in (start, out) for p in place.rglob("*") if p.is_file()]
    return Made([*outputs, *(folder / n for n in ("metrics.jsonl", "curve.json", "curve.png"))], counts)


def fit(run: Run, report: Report) -> None:
    """Train the student that ``start`` holds and write it, with its counts, once it is trained. Every process of a
    group calls this; the first one writes.
    """
    recipe, folder = run.recipe, run.path("train")
    section = recipe.train
    if section.threads is not None:
        torch.set_num_threads(section.threads)
    rows = _chosen(run)
    tokenizer = load_tokenizer(folder / "start")
    examples = [e for r in rows if (e := encode(tokenizer, r, section.max_length))]
    model = load_model(folder / "start", torch.float32)
    targets = _targets(run, rows, tokenizer, model.config.vocab_size)
    short = len(examples)
    if isinstance(targets, Cached):
        examples = [e for e in examples if targets.holds(e)]
    trained_model, merge = _adapted(model, recipe)
    write = OnPolicy(trained_model, tokenizer, section) if section.on_policy > 0 else None
    done = train(
        trained_model,
        examples,
        targets,
        section,
        folder,
        pad=_pad(tokenizer),
        write=write,
        report=lambda now: _tell(report, now),
    )
    final = merge()
    if not processes().is_main_process:
        return
    final.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    counts: dict[str, int | float | str] = {
        "examples": len(examples),
        "too_long": len(rows) - short,
        "not_in_cache": short - len(examples),
        "steps": done.steps,
        "tokens": done.tokens,
        "answer_tokens": sum(e.answer for e in examples),
        "train_seconds": done.seconds,
        "precision": done.precision,
        "parameters": parameters(final),
        "loss": section.loss,
    }
    write_atomic(folder / FITTED, msgspec.json.encode(counts))


def _fit_together(run: Run, report: Report) -> None:
    """``fit`` in processes that torchrun starts, with this one looking on."""
    folder = run.path("train")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={run.recipe.train.processes}", "-m", "spiritsafe.distill.worker", str(run.folder)]
    log = folder / "processes.log"
    with log.open("wb") as said:
        group = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
        try:
            while group.poll() is None:
                if steps := read_metrics(folder / "metrics.jsonl"):
                    _tell(report, steps[-1])
                time.sleep(LOOK)
        finally:
            if group.poll() is None:
                group.terminate()
                group.wait()
    if group.returncode:
        said_last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise ResourceError(
            f"the processes ended with {group.returncode}: {' '.join(said_last)}",
            remedy="See processes.log; --resume goes on from the last checkpoint.",
            where=str(log),
        )


def _tell(report: Report, now: Progress) -> None:
    report(
        f"train: step {now.step} of {now.steps}, loss {now.loss:.3f}, {now.tokens / max(now.seconds, 1e-9):,.0f} "
        f"tokens/s, {now.of_peak:.0%} of the matmul peak",
        1.0 - now.left / (now.left + now.seconds),
        now.left,
    )


def _chosen(run: Run) -> list[Row]:
    return [r for r in read_rows(run.path("curate") / "curated.parquet") if r.reason is None]


def _pad(tokenizer: Any) -> int:
    return int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)


def _make_student(run: Run, rows: Sequence[Row], out: Path) -> None:
    """Write the untouched student and its tokenizer to ``out``, in one move."""
    section = run.recipe.student
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    if section.prune is not None:
        folder = weights_folder(run.recipe.teacher.weights_source)
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
        tokenizer = load_tokenizer(weights_folder(run.recipe.teacher.weights_source))
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
    folder = weights_folder(run.recipe.teacher.weights_source)
    own = load_tokenizer(folder)
    teacher = load_model(folder, getattr(torch, precision_on(section.precision, processes().device)))
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
