"""Stage 3: keep the teacher's distributions, so that training never has to ask it again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from transformers import AutoConfig, PreTrainedModel

from spiritsafe.distill.answers import reusable
from spiritsafe.distill.api_logprobs import map_rows
from spiritsafe.distill.batches import Batch, Example, collate, encode
from spiritsafe.distill.cache.reader import CacheReader
from spiritsafe.distill.cache.types import MANIFEST, Manifest, Spec, tokenizer_digest
from spiritsafe.distill.cache.writer import CacheWriter
from spiritsafe.distill.losses.chunked import from_head
from spiritsafe.distill.rows import Row, read_rows
from spiritsafe.distill.stages import Run, write_atomic
from spiritsafe.distill.steps.types import Made, Report
from spiritsafe.distill.student import body, head_of, load_model
from spiritsafe.distill.targets import Target, frozen
from spiritsafe.distill.weights import has_weights, load_tokenizer, weights_folder
from spiritsafe.errors import UsageError
from spiritsafe.record.reader import read

LONGEST = 8192
BATCH = 4


def step(run: Run, report: Report) -> Made:
    """Write the cache that the recipe asks for, going on where a killed run stopped; without one nothing is done.

    Held-out rows are left out: nothing of theirs is ever trained on.
    """
    section = run.recipe.cache
    if section.kind == "none":
        return Made([], {"kind": "none"})
    rows = [r for r in read_rows(run.path("collect") / "rows.parquet") if not r.held_out]
    out = run.path("cache") / "data"
    api = not has_weights(run.recipe.teacher.weights_source)
    # A kill may have come when the cache was whole and the stage was not: all rows are done then, it is closed again.
    (out / MANIFEST).unlink(missing_ok=True)
    manifest, left_out, tokens = _from_api(run, rows, out) if api else _from_weights(run, rows, out, report)
    reasons = run.path("cache") / "left_out.json"
    write_atomic(reasons, msgspec.json.format(msgspec.json.encode(left_out), indent=1))
    counts: dict[str, int | float | str] = {
        "kind": section.kind,
        "positions": manifest.positions,
        "tokens": tokens,
        "bytes_a_position": round(manifest.bytes_per_position, 2),
        "left_out": len(left_out),
    }
    return Made([reasons, *(p for p in sorted(out.iterdir()) if p.is_file())], counts)


def _spec(run: Run, tokenizer: Any, vocabulary: int) -> Spec:
    section = run.recipe.cache
    return Spec(
        kind="topk" if section.kind == "none" else section.kind,
        teacher=run.recipe.teacher.source,
        tokenizer=tokenizer_digest(tokenizer.get_vocab()),
        vocabulary=vocabulary,
        temperature=section.temperature,
        k=section.k,
        rounds=section.rounds,
        distinct=section.distinct,
        seed=section.seed,
    )


def _from_weights(run: Run, rows: Sequence[Row], out: Path, report: Report) -> tuple[Manifest, dict[str, str], int]:
    """The cache by a pass of the teacher's own weights over its answers, the rows that are too long for it, and how
    many tokens the teacher read.
    """
    folder = weights_folder(run.recipe.teacher.weights_source)
    tokenizer, model = load_tokenizer(folder), frozen(load_model(folder, torch.float32))
    examples = [e for r in rows if (e := encode(tokenizer, r, LONGEST))]
    writer = CacheWriter(out, _spec(run, tokenizer, model.config.vocab_size), rows_per_part=64)
    _fill(writer, model, [e for e in examples if e.key not in writer.done], int(tokenizer.eos_token_id), report)
    kept = {e.key for e in examples}
    long = [k for r in rows if (k := f"{r.prompt_id}:{r.sample}") not in kept]
    tokens = sum(len(e.ids) for e in examples)
    return writer.close(), dict.fromkeys(long, f"longer than {LONGEST} tokens"), tokens


def _from_api(run: Run, rows: Sequence[Row], out: Path) -> tuple[Manifest, dict[str, str], int]:
    """The cache out of the ``top_logprobs`` that came with the answers, in the student's tokens, the rows whose tokens
    are not the student's, and 0 tokens that the teacher read again.
    """
    recipe, section = run.recipe, run.recipe.cache
    if section.temperature != 1.0:
        raise UsageError(
            f"the logprobs of an API are taken at temperature 1, not {section.temperature:g}",
            remedy="Set cache.temperature and train.temperature to 1.",
            where="cache.temperature",
        )
    if recipe.student.model is None:
        raise UsageError(
            "a student for a teacher behind an API is a model of its own, with its own tokenizer",
            remedy="Set student.model to a folder.",
            where="student",
        )
    folder = run.find(recipe.student.model)
    tokenizer = load_tokenizer(folder)
    vocabulary = int(AutoConfig.from_pretrained(folder, local_files_only=True).vocab_size)
    examples = [e for r in rows if (e := encode(tokenizer, r, LONGEST))]
    mapped = map_rows(examples, _extras(run, rows), tokenizer)
    writer = CacheWriter(out, _spec(run, tokenizer, vocabulary), rows_per_part=64)
    for example in examples:
        if example.key in mapped.tops and example.key not in writer.done:
            writer.add_top(example, *mapped.tops[example.key])
    return writer.close(), mapped.left_out, 0


def _extras(run: Run, rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """What the record of the run, and those it reused, keep beside the answers, by the rows' keys."""
    folders = [run.path("collect") / "record", *reusable(run)]
    wanted = {r.exchange_id: f"{r.prompt_id}:{r.sample}" for r in rows}
    exchanges = (exchange for folder in folders for _, exchange in read(folder))
    return {wanted[e.exchange_id]: e.extra for e in exchanges if e.exchange_id in wanted}


@torch.no_grad()
def _fill(writer: CacheWriter, model: PreTrainedModel, todo: Sequence[Example], pad: int, report: Report) -> None:
    began = time.monotonic()
    for a in range(0, len(todo), BATCH):
        batch = collate(todo[a : a + BATCH], pad, model.device)
        states = body(model)(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
        dense = from_head(states[batch.rows, batch.columns].float(), head_of(model))
        at = 0
        for example in batch.examples:
            writer.add_logits(example, dense.logits(at, at + example.answer))
            at += example.answer
        done = min(a + BATCH, len(todo))
        left = (time.monotonic() - began) / done * (len(todo) - done)
        report(f"cache: {done} of {len(todo)} answers", done / len(todo), left)


class Cached:
    """What a loss that needs a cache compares with. Raises ``InputError`` unless the cache was made for these very
    tokens, this vocabulary and this temperature.
    """

    def __init__(self, run: Run, needs: str, tokenizer: Any, vocabulary: int) -> None:
        self._reader = CacheReader(
            run.path("cache") / "data",
            tokenizer=tokenizer_digest(tokenizer.get_vocab()),
            vocabulary=vocabulary,
            temperature=run.recipe.train.temperature,
        )
        self._read = self._reader.topk if needs == "topk" else self._reader.sampled

    def __call__(self, batch: Batch) -> Target:
        return Target(self._read(batch.examples, str(batch.ids.device)))

    def holds(self, example: Example) -> bool:
        """Whether the row is in the cache: one that an API's logprobs do not fit is not."""
        return example.key in self._reader
