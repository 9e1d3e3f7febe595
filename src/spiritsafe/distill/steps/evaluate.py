"""Stage 6: measure the student on prompts it has not seen, beside the teacher and the untouched student."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import torch
from transformers import PreTrainedModel

from spiritsafe.distill.batches import ChatTokenizer, Example, encode
from spiritsafe.distill.retention import Ratio, accuracy_ratio, check_unseen, likelihood_ratio
from spiritsafe.distill.rows import Row, read_rows
from spiritsafe.distill.score import Scores, answer, score
from spiritsafe.distill.stages import Run, write_atomic
from spiritsafe.distill.steps.curate import verifier
from spiritsafe.distill.steps.types import Made, Report
from spiritsafe.distill.student import load_model, parameters
from spiritsafe.distill.targets import frozen, same_tokens
from spiritsafe.distill.tasks import TaskScore, run_tasks
from spiritsafe.distill.weights import has_weights, load_tokenizer, weights_folder
from spiritsafe.errors import InputError


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One model on the held-out answers, as far as it is known: nats a token, share of places at which its likeliest
    token is the teacher's (the answer's, where the teacher's weights are not here), KL from the teacher in nats a
    token, share of tasks right, size, and greedy tokens a second on this machine at a batch of 8.
    """

    model: str
    cross_entropy: float | None = None
    agreement: float | None = None
    kl: float | None = None
    accuracy: float | None = None
    parameters: int | None = None
    tokens_per_second: float | None = None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What ``evaluate/evaluation.json`` holds. ``retention`` is the student's, ``retention_untouched`` that of the
    student before training; None where the teacher gives nothing to compare with, and ``why_not`` says why.
    """

    version: int = 1
    prompts: int
    answer_tokens: int
    agreement_with: str
    measured: tuple[Measured, ...]
    retention: tuple[Ratio, ...]
    retention_untouched: tuple[Ratio, ...]
    why_not: str | None = None
    tasks: tuple[TaskScore, ...] = ()


def step(run: Run, report: Report) -> Made:
    """Measure. Raises ``InputError`` if nothing was held out, or if what was held out was trained on."""
    section = run.recipe.evaluate
    rows = read_rows(run.path("curate") / "curated.parquet")
    held = [r for r in rows if r.held_out and r.sample == 0][: section.limit]
    check_unseen((r.prompt_id for r in held), (r.prompt_id for r in rows if r.reason is None))
    bench = _Bench(run, held)
    report("evaluate: the student", 0.1, None)
    student = bench.measure("student", run.path("train") / "model")
    report("evaluate: the untouched student", 0.5, None)
    untouched = bench.measure("untouched student", run.path("train") / "start")
    report("evaluate: the teacher", 0.8, None)
    teacher = bench.teacher()
    done = Evaluation(
        prompts=len(bench.examples),
        answer_tokens=sum(e.answer for e in bench.examples),
        agreement_with="the teacher's likeliest token" if bench.other is not None else "the teacher's answer",
        measured=tuple(m.measured for m in (student, untouched, teacher) if m is not None),
        retention=bench.ratios(student, teacher),
        retention_untouched=bench.ratios(untouched, teacher),
        why_not=None if teacher else "the teacher's weights are not here, and its answers were not verified",
        tasks=tuple(score for m in (student, untouched, teacher) if m is not None for score in m.tasks),
    )
    path = run.path("evaluate") / "evaluation.json"
    write_atomic(path, msgspec.json.format(msgspec.json.encode(done), indent=1))
    report("evaluate: done", 1.0, 0.0)
    counts: dict[str, int | float | str] = {"prompts": done.prompts, "answer_tokens": done.answer_tokens}
    for ratio in done.retention:
        if ratio.value is not None:
            counts[f"retention {ratio.measure}"] = round(ratio.value, 4)
    return Made([path], counts)


def read_evaluation(folder: Path) -> Evaluation:
    """What the stage wrote into ``folder``."""
    return msgspec.json.decode((folder / "evaluation.json").read_bytes(), type=Evaluation)


class _Result(msgspec.Struct, frozen=True):
    measured: Measured
    scores: Scores | None
    right: list[bool] | None
    tasks: list[TaskScore] = []


class _Bench:
    """Holds what all models are measured on."""

    def __init__(self, run: Run, held: Sequence[Row]) -> None:
        self._run = run
        tokenizer = load_tokenizer(run.path("train") / "start")
        coded = [(r, e) for r in held if (e := encode(tokenizer, r, 4 * run.recipe.train.max_length))]
        if not coded:
            raise InputError(
                "no prompt was held out", remedy="Raise evaluate.held_out, or give more prompts.", where="evaluate"
            )
        self.rows = [r for r, _ in coded]
        self.examples: list[Example] = [e for _, e in coded]
        self.tokenizer: ChatTokenizer = tokenizer
        self.other: PreTrainedModel | None = None
        source = run.recipe.teacher.weights_source
        if has_weights(source):
            folder = weights_folder(source)
            if same_tokens(tokenizer, load_tokenizer(folder)):
                self.other = frozen(load_model(folder, torch.float32))

    def measure(self, name: str, folder: Path) -> _Result:
        model = frozen(load_model(folder, torch.float32))
        scores = score(model, self.examples, self._pad, other=self.other)
        section = self._run.recipe.evaluate
        said, speed = answer(model, self.tokenizer, [r.prompt for r in self.rows], max_tokens=section.max_tokens)
        return self._result(name, model, scores, self._right(said), speed, self._tasks(name, model))

    def teacher(self) -> _Result | None:
        """The teacher as it answered when it was asked, and as its weights score those answers, if they are here."""
        right = self._right([r.answer for r in self.rows])
        if self.other is None:
            # Behind an API only the share of right answers is known.
            return None if right is None else _Result(Measured(model="teacher", accuracy=_share(right)), None, right)
        scores = score(self.other, self.examples, self._pad, other=self.other)
        return self._result("teacher", self.other, scores, right, None, self._tasks("teacher", self.other))

    def ratios(self, student: _Result, teacher: _Result | None) -> tuple[Ratio, ...]:
        if teacher is None:
            return ()
        section = self._run.recipe.evaluate
        found = []
        if student.right is not None and teacher.right is not None:
            found.append(
                accuracy_ratio(
                    student.right, teacher.right, confidence=section.confidence, draws=section.draws, seed=section.seed
                )
            )
        if student.scores is not None and teacher.scores is not None:
            found.append(
                likelihood_ratio(
                    student.scores.nats,
                    teacher.scores.nats,
                    student.scores.tokens,
                    confidence=section.confidence,
                    draws=section.draws,
                    seed=section.seed,
                )
            )
        return tuple(found)

    def _tasks(self, name: str, model: PreTrainedModel) -> list[TaskScore]:
        section = self._run.recipe.evaluate
        if not section.tasks:
            return []
        folder = None if section.task_folder is None else self._run.find(section.task_folder)
        return run_tasks(
            name, model, self.tokenizer, section.tasks, folder=folder, limit=section.task_limit, seed=section.seed
        )

    @property
    def _pad(self) -> int:
        return int(self.tokenizer.eos_token_id or 0)

    def _right(self, answers: Sequence[str]) -> list[bool] | None:
        """Which answers are right, None where nothing verifies them."""
        with ExitStack() as stack:
            verify = verifier(self._run.recipe.curate.verify, stack)
            if verify is None or any(r.known is None for r in self.rows):
                return None
            return [verify(r.prompt, a, r.known or "").right for r, a in zip(self.rows, answers, strict=True)]

    @staticmethod
    def _result(
        name: str,
        model: PreTrainedModel,
        scores: Scores,
        right: list[bool] | None,
        speed: float | None,
        tasks: list[TaskScore],
    ) -> _Result:
        measured = Measured(
            model=name,
            cross_entropy=scores.cross_entropy,
            agreement=scores.agreement,
            kl=scores.divergence,
            accuracy=None if right is None else _share(right),
            parameters=parameters(model),
            tokens_per_second=None if speed is None else round(speed, 2),
        )
        return _Result(measured, scores, right, tasks)


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right)
