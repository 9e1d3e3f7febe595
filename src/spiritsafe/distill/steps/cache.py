"""Stage 3: keep the teacher's distributions, so that training never has to ask it again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from spiritsafe.distill.batches import Batch, Example, collate, encode
from spiritsafe.distill.cache.reader import CacheReader
from spiritsafe.distill.cache.types import Spec, tokenizer_digest
from spiritsafe.distill.cache.writer import CacheWriter
from spiritsafe.distill.losses.chunked import from_head
from spiritsafe.distill.rows import read_rows
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.types import Made, Report
from spiritsafe.distill.student import body, head_of, load_model
from spiritsafe.distill.targets import Target, Targets, frozen
from spiritsafe.distill.weights import load_tokenizer, weights_folder

LONGEST = 8192
BATCH = 4


def step(run: Run, report: Report) -> Made:
    """Write the cache that the recipe asks for, going on where a killed run stopped; without one nothing is done.

    Held-out rows are left out: nothing of theirs is ever trained on.
    """
    section = run.recipe.cache
    if section.kind == "none":
        return Made([], {"kind": "none"})
    folder = weights_folder(run.recipe.teacher.source)
    tokenizer, model = load_tokenizer(folder), frozen(load_model(folder, torch.float32))
    rows = [r for r in read_rows(run.path("collect") / "rows.parquet") if not r.held_out]
    examples = [e for r in rows if (e := encode(tokenizer, r, LONGEST))]
    spec = Spec(
        kind=section.kind,
        teacher=run.recipe.teacher.source,
        tokenizer=tokenizer_digest(tokenizer.get_vocab()),
        vocabulary=model.config.vocab_size,
        temperature=section.temperature,
        k=section.k,
        rounds=section.rounds,
        distinct=section.distinct,
        seed=section.seed,
    )
    out = run.path("cache") / "data"
    writer = CacheWriter(out, spec, rows_per_part=64)
    _fill(writer, model, [e for e in examples if e.key not in writer.done], int(tokenizer.eos_token_id), report)
    manifest = writer.close()
    counts: dict[str, int | float | str] = {
        "kind": section.kind,
        "positions": manifest.positions,
        "bytes_a_position": round(manifest.bytes_per_position, 2),
    }
    return Made([p for p in sorted(out.iterdir()) if p.is_file()], counts)


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


def cached_targets(run: Run, needs: str, tokenizer: Any, vocabulary: int) -> Targets:
    """What a loss that needs a cache compares with. Raises ``InputError`` unless the cache was made for these very
    tokens, this vocabulary and this temperature.
    """
    folder: Path = run.path("cache") / "data"
    reader = CacheReader(
        folder,
        tokenizer=tokenizer_digest(tokenizer.get_vocab()),
        vocabulary=vocabulary,
        temperature=run.recipe.train.temperature,
    )

    def targets(batch: Batch) -> Target:
        device = str(batch.ids.device)
        read = reader.topk if needs == "topk" else reader.sampled
        return Target(read(batch.examples, device))

    return targets
