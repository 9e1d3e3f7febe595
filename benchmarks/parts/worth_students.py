"""Small students of harvests: the teacher cut to its most influential layers, and trained on what a thief got.

All have the same start, the same budget and the same order of steps; they differ in what they learn from alone. A thief
need not pay for the teacher's system prompt, so the students' chat template has none.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from spiritsafe.distill.batches import Batch, Example, encode
from spiritsafe.distill.losses.types import TopK
from spiritsafe.distill.recipe import Train
from spiritsafe.distill.retention import Ratio, likelihood_ratio
from spiritsafe.distill.rows import Row
from spiritsafe.distill.score import Scores, score
from spiritsafe.distill.student import block_influence, head_of, load_model, most_influential, prune_layers
from spiritsafe.distill.student import body as body_of
from spiritsafe.distill.targets import Target, Targets, frozen, tokens
from spiritsafe.distill.train import train
from spiritsafe.distill.weights import load_tokenizer, weights_folder
from spiritsafe.protect.release import coarse

TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CALIBRATION = 16
BATCH = 4
RATE = 5e-4
DONE = "trained.json"


class Taught(msgspec.Struct, frozen=True, kw_only=True):
    """What a student cost to train; written last, so that a folder that has it is whole."""

    examples: int
    steps: int
    tokens: int
    seconds: float


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """The student's loss on the teacher's own plain answers to prompts that nobody trained on: ``nats`` a token with
    their interval, the likelihood ``kept``, the divergence ``kl`` in nats from the teacher's whole distributions, and
    the share of places at which both find the same token likeliest.
    """

    nats: float
    low: float
    high: float
    kept: Ratio
    kl: float
    agreed: float


def example(tokenizer: Any, number: int, prompt: str, answer: str, longest: int = 320) -> Example:
    """One prompt and answer as tokens."""
    row = Row(
        prompt_id=str(number), prompt=prompt, sample=0, answer=answer, exchange_id="", source="", held_out=False,
        reason=None,
    )  # fmt: skip
    found = encode(tokenizer, row, longest)
    assert found is not None, f"longer than {longest} tokens: {prompt[:40]!r}"
    return found


def started(folder: Path, layers: int, texts: Sequence[tuple[str, str]]) -> Path:
    """The untrained student that all begin from; ``texts`` are what its layers' influence is measured on."""
    out = folder / f"start-{layers}"
    if (out / "config.json").exists():
        return out
    source = weights_folder("smollm2")
    whole = load_model(source, torch.float32)
    tokenizer = load_tokenizer(source)
    tokenizer.chat_template = TEMPLATE
    seen = [torch.tensor([example(tokenizer, 0, *text).ids]) for text in texts[:CALIBRATION]]
    kept = most_influential(block_influence(whole, seen), layers)
    print(f"  layers kept: {kept}", flush=True)
    partial = out.with_name(out.name + ".partial")
    prune_layers(whole, kept).save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    partial.rename(out)
    return out


def student(
    folder: Path,
    name: str,
    start: Path,
    pairs: Sequence[tuple[str, str]],
    epochs: float,
    *,
    targets: Callable[[Path, Any, Sequence[Example]], Targets] | None = None,
    seed: int = 0,
) -> Path:
    """The folder of the student that learnt ``pairs`` of prompt and answer from ``start``; trained now if it wasn't.

    The embedding, which is the head as well, stays as it is: a third of the work for next to nothing. ``targets`` makes
    what the loss ``topk_kl`` compares with, from the folder, the tokenizer and the examples; without it the answers'
    tokens are learnt.
    """
    out = folder / "students" / name
    if (out / DONE).exists():
        return out
    shutil.rmtree(out, ignore_errors=True)
    torch.manual_seed(seed)
    model, tokenizer = load_model(start, torch.float32), load_tokenizer(start)
    model.get_input_embeddings().weight.requires_grad_(False)
    examples = [example(tokenizer, at, *pair) for at, pair in enumerate(pairs)]
    section = Train(
        loss="sft" if targets is None else "topk_kl", epochs=epochs, batch=BATCH, learning_rate=RATE, max_length=320,
        checkpoint_steps=1_000_000, seed=seed,
    )  # fmt: skip
    began = time.process_time()
    told = tokens if targets is None else targets(folder, tokenizer, examples)
    done = train(model, examples, told, section, out, pad=int(tokenizer.eos_token_id))
    seconds = time.process_time() - began
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    taught = Taught(examples=len(examples), steps=done.steps, tokens=done.tokens, seconds=seconds)
    (out / DONE).write_bytes(msgspec.json.encode(taught))
    print(f"  {name}: {done.steps} steps, {done.tokens:,} tokens, {seconds:.0f} CPU s", flush=True)
    return out


TOLD = 20
"""The most log-probabilities that an API tells of a token."""


def told_logprobs(top: int, step: float) -> Callable[[Path, Any, Sequence[Example]], Targets]:
    """What an API tells of the teacher's distribution at each token of an answer: the ``top`` likeliest, on a grid of
    ``step`` nats (0: as they are). The teacher is asked once for all forms of the same answers.
    """

    def make(folder: Path, tokenizer: Any, examples: Sequence[Example]) -> Targets:
        path = folder / "told.pt"
        if not path.exists():
            source = weights_folder("smollm2")
            teacher, own = frozen(load_model(source, torch.float32)), load_tokenizer(source)
            torch.save({each.key: _tops(teacher, own, tokenizer, each) for each in examples}, path)
        kept = {key: _released(ids, values, top, step) for key, (ids, values) in torch.load(path).items()}

        def target(batch: Batch) -> Target:
            both = [kept[each.key] for each in batch.examples]
            return Target(TopK(torch.cat([ids for ids, _ in both]), torch.cat([values for _, values in both])))

        return target

    return make


@torch.no_grad()
def _tops(teacher: Any, own: Any, tokenizer: Any, each: Example) -> tuple[torch.Tensor, torch.Tensor]:
    """The teacher's likeliest tokens at each place of an answer, asked with its own chat template."""
    text = tokenizer.decode(each.ids[: each.start], skip_special_tokens=False)
    asked = text.removeprefix("<|im_start|>user\n").removesuffix("<|im_end|>\n<|im_start|>assistant\n")
    turn = [{"role": "user", "content": asked}]
    before = own(own.apply_chat_template(turn, add_generation_prompt=True, tokenize=False), add_special_tokens=False)
    ids = [*before["input_ids"], *each.ids[each.start :]]
    hidden = body_of(teacher)(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state[0]
    logits = hidden[len(before["input_ids"]) - 1 : -1] @ head_of(teacher).weight.T
    values, best = logits.log_softmax(-1).topk(TOLD, -1)
    return best, values


def _released(ids: torch.Tensor, values: torch.Tensor, top: int, step: float) -> tuple[torch.Tensor, torch.Tensor]:
    ids, values = ids[:, :top], values[:, :top]
    if step:
        values = torch.tensor([[coarse(value, step) for value in row] for row in values.tolist()])
        # On a grid their sum may pass 1: whoever learns from them scales it down.
        values = values - values.logsumexp(-1, keepdim=True).clamp(min=0.0)
    return ids, values


def scores_on(model: Path, pairs: Sequence[tuple[str, str]], *, beside: Path | None = None) -> Scores:
    """A model's nats on answers, each asked with the model's own template; compared with the model ``beside`` it."""
    tokenizer = load_tokenizer(model)
    examples = [example(tokenizer, at, *pair) for at, pair in enumerate(pairs)]
    other = None if beside is None else frozen(load_model(beside, torch.float32))
    own = frozen(load_model(model, torch.float32))
    return score(own, examples, int(tokenizer.eos_token_id), other=other, batch=8)


def worth_of(mine: Scores, teacher: Scores, seed: int = 0) -> Worth:
    """A student's loss beside the teacher's own on the same answers; intervals by resampling prompts."""
    kept = likelihood_ratio(mine.nats, teacher.nats, mine.tokens, confidence=0.95, draws=2000, seed=seed)
    counts, nats = torch.tensor(mine.tokens, dtype=torch.float64), torch.tensor(mine.nats, dtype=torch.float64)
    drawn = torch.randint(len(counts), (2000, len(counts)), generator=torch.Generator().manual_seed(seed))
    means = nats[drawn].sum(1) / counts[drawn].sum(1)
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    kl = mine.divergence
    assert kl is not None, "scored beside no teacher"
    return Worth(nats=mine.cross_entropy, low=low, high=high, kept=kept, kl=kl, agreed=mine.agreement)


def taught(folder: Path, name: str) -> Taught | None:
    """What training that student cost, None if it was not trained yet."""
    path = folder / "students" / name / DONE
    return msgspec.convert(json.loads(path.read_bytes()), Taught) if path.exists() else None
