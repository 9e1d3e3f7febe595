"""The training loop, from top to bottom. Every loss, every kind of target and every device goes through it.

Resuming is exact: what happens at a step depends on the seed, the step's number and the state in the checkpoint
alone. On one thread a run that was killed and resumed ends in the same bits as one that was not; with more threads
torch may add in another order. A run bounded by ``minutes`` depends on the clock and promises nothing of the kind.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedModel

from spiritsafe.distill import checkpoint
from spiritsafe.distill.batches import Batch, Example, Plan, collate, schedule
from spiritsafe.distill.device import Work, matmul_peak, precision_on, processes
from spiritsafe.distill.losses import load
from spiritsafe.distill.losses.sft import sft
from spiritsafe.distill.losses.types import Tokens, Value
from spiritsafe.distill.recipe import Train
from spiritsafe.distill.student import body, head_of
from spiritsafe.distill.targets import Targets
from spiritsafe.errors import InputError, ResourceError

Writer = Callable[[list[Example], int], list[Example]]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One step, as it stands in ``metrics.jsonl``. ``loss`` is nats an answer token, ``tokens`` all that went through
    the model since the start, ``of_peak`` the student's multiplications in this step as a share of what the device
    was measured to do at the most, ``seconds`` those of training, ``left`` an estimate of what remains.
    """

    step: int
    steps: int
    loss: float
    rate: float
    norm: float
    tokens: int
    of_peak: float
    seconds: float
    left: float


class Trained(NamedTuple):
    """``tokens`` went through the model in ``seconds``, computed in ``precision``."""

    precision: str
    steps: int
    tokens: int
    seconds: float


def train(
    model: PreTrainedModel,
    examples: Sequence[Example],
    targets: Targets,
    section: Train,
    folder: Path,
    *,
    pad: int,
    write: Writer | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Trained:
    """Train ``model`` in place on ``examples``. ``folder`` takes checkpoints and ``metrics.jsonl``; where it holds a
    checkpoint, training goes on from there. ``write`` lets the student answer itself (``on_policy``): it takes the
    examples of a step and the step's number, and gives them with the student's own answers.

    Raises ``InputError`` for no examples and ``ResourceError`` when the loss is no number any more.
    """
    if not examples:
        raise InputError("no examples to train on", remedy="Loosen the recipe's curate section, or raise max_length.")
    device = processes().device
    precision = precision_on(section.precision, device)
    accelerator = Accelerator(mixed_precision="bf16" if precision == "bfloat16" else "no", cpu=device.type == "cpu")
    peak = matmul_peak(device, getattr(torch, precision)) * accelerator.num_processes
    model.to(accelerator.device)
    model.train()
    work = Work(model)
    stepper = _Stepper(model, targets, section, accelerator, pad)
    per_step = section.batch * section.accumulate * accelerator.num_processes
    plan = Plan([len(e.ids) for e in examples], per_step, section.epochs, section.steps, section.seed)
    rate = schedule(section.warmup, section.decay)
    saved, elapsed = checkpoint.restore(folder / "checkpoints", model, stepper.optimizer)
    began = time.monotonic() - elapsed
    with Log(folder / "metrics.jsonl", saved, writing=accelerator.is_main_process) as log:
        for step in range(saved, plan.steps):
            progress = max(step / plan.steps, _clock(began, section))
            if progress >= 1.0:
                break
            chosen = [examples[i] for i in plan.step(step)]
            if write is not None and _on_policy(section, step):
                chosen = write(chosen, step)
            share = rate(progress)
            started = time.monotonic()
            loss, norm = stepper(chosen, share)
            took = max(1e-9, time.monotonic() - started)
            tokens = sum(len(e.ids) for e in chosen)
            if not math.isfinite(loss):
                raise ResourceError(
                    f"the loss is {loss} at step {step}",
                    remedy="Lower train.learning_rate; --resume goes on from the last checkpoint.",
                )
            seconds = time.monotonic() - began
            ahead = max((step + 1) / plan.steps, _clock(began, section))
            now = Progress(
                step=step + 1,
                steps=plan.steps,
                loss=loss,
                rate=share * section.learning_rate,
                norm=norm,
                tokens=log.tokens + tokens,
                of_peak=round(work.of(tokens, sum(e.answer for e in chosen)) / took / peak, 4),
                seconds=round(seconds, 3),
                left=max(0.0, round(seconds * (1.0 - ahead) / ahead, 1)),
            )
            log.add(now)
            report(now)
            if step + 1 - saved >= section.checkpoint_steps and accelerator.is_main_process:
                checkpoint.save(folder / "checkpoints", step + 1, model, stepper.optimizer, seconds)
                saved = step + 1
    nn.Module.eval(model)
    if log.last is None:
        raise InputError("the recipe leaves no step to train", remedy="Raise train.epochs, steps or minutes.")
    return Trained(precision, log.last.step, log.last.tokens, log.last.seconds)


def _clock(began: float, section: Train) -> float:
    """Share of ``minutes`` that has passed, 0 where there is no such bound."""
    return 0.0 if section.minutes is None else (time.monotonic() - began) / (60.0 * section.minutes)


def _on_policy(section: Train, step: int) -> bool:
    """A coin with the recipe's share that depends on the seed and the step alone."""
    generator = torch.Generator().manual_seed((section.seed << 32) + step)
    return bool(torch.rand((), generator=generator) < section.on_policy)


class _Stepper:
    """One optimizer step at a time."""

    def __init__(
        self, model: PreTrainedModel, targets: Targets, section: Train, accelerator: Accelerator, pad: int
    ) -> None:
        self._model = model
        self._targets = targets
        self._section = section
        self._accelerator = accelerator
        self._pad = pad
        loss: Callable[..., Value] = load(section.loss)
        self._loss = partial(loss, beta=section.beta) if section.loss == "jsd" else loss
        self._weights = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self._weights, lr=section.learning_rate, weight_decay=section.weight_decay, fused=True
        )

    def __call__(self, chosen: list[Example], share: float) -> tuple[float, float]:
        """Learn from ``chosen`` at ``share`` of the learning rate; returns nats a token and the gradient's norm."""
        # Every process knows all lengths, so all divide by the same count and their gradients simply add up.
        count = float(max(1, sum(e.answer for e in chosen)))
        accelerator = self._accelerator
        mine = chosen[accelerator.process_index :: accelerator.num_processes]
        total = torch.zeros((), device=accelerator.device)
        for a in range(0, len(mine), self._section.batch):
            value = self._value(collate(mine[a : a + self._section.batch], self._pad, accelerator.device), count)
            accelerator.backward(value)
            total += value.detach()
        if accelerator.num_processes > 1:
            total = accelerator.reduce(total, reduction="sum")
            for weight in self._weights:
                gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
                weight.grad = accelerator.reduce(gradient, reduction="sum")
        clip = self._section.clip if self._section.clip > 0 else math.inf
        norm = torch.nn.utils.clip_grad_norm_(self._weights, clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self._section.learning_rate * share
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(total), float(norm)

    def _value(self, batch: Batch, count: float) -> Tensor:
        with self._accelerator.autocast():
            states = body(self._model)(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
            target = self._targets(batch)
        hidden = states.last_hidden_state[batch.rows, batch.columns]
        compared = hidden if target.select is None else hidden[target.select]
        head, section = head_of(self._model), self._section
        value = self._loss(compared, head, target.teacher, temperature=section.temperature, denominator=count).loss
        if section.sft_weight > 0:
            plain = sft(hidden, head, Tokens(batch.labels), denominator=count).loss
            value = (1.0 - section.sft_weight) * value + section.sft_weight * plain
        return value


class Log:
    """``metrics.jsonl``: one step a line; what a killed run wrote past its last checkpoint is taken off again."""

    def __init__(self, path: Path, done: int, *, writing: bool) -> None:
        lines = read_metrics(path)[:done]
        self.last = lines[-1] if lines else None
        self._file = None
        if writing:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
            self._file = path.open("ab", buffering=0)

    @property
    def tokens(self) -> int:
        return self.last.tokens if self.last else 0

    def add(self, progress: Progress) -> None:
        self.last = progress
        if self._file is not None:
            self._file.write(msgspec.json.encode(progress) + b"\n")

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def read_metrics(path: Path) -> list[Progress]:
    """The steps logged so far; a last line cut short by a crash is left out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(msgspec.json.decode(line, type=Progress))
        except msgspec.MsgspecError:
            break
    return found
