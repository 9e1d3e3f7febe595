"""Collecting: asking the teacher, so that what was paid for is never lost and never paid for twice.

Each worker asks one request, waits until its answer is durable in the run's sealed record, and only then asks the
next. A kill can lose at most the requests that were under way. What is in the record, or in one that the recipe
names under ``reuse``, is found again by the digest of its request and not asked.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from spiritsafe.distill.answers import Answers, load_all
from spiritsafe.distill.budget import Budget, Spent
from spiritsafe.distill.recipe import Collect
from spiritsafe.distill.rows import Prompt, Row, is_held_out
from spiritsafe.errors import ResourceError, SpiritsafeError
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog
from spiritsafe.record.reader import read
from spiritsafe.teach.types import Answer, Chat, Sampling
from spiritsafe.teach.types import Prompt as Asked

THINK = ("<think>", "</think>")


class Askable(Protocol):
    """The part of a teacher that collecting needs."""

    name: str

    def generate(self, prompts: Sequence[Asked], sampling: Sampling) -> list[list[Answer]]: ...


class Collected(NamedTuple):
    """``rows`` in the order of the prompts. ``asked`` were paid for now, ``reused`` were on disk already, ``unasked``
    were left for the ceiling (``stopped`` says which), and ``failed`` says why for each that got no answer.
    """

    rows: list[Row]
    spent: Spent
    asked: int
    reused: int
    unasked: int
    stopped: str | None
    failed: dict[str, str]


class Gate:
    """How many requests may be under way: one fewer by half when the teacher says it is too much, one more for each
    round of answers that came (additive increase, multiplicative decrease).
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._busy = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        return max(1, int(self._limit))

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._busy < self.limit)
            self._busy += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    def well(self) -> None:
        with self._changed:
            self._limit = min(float(self._most), self._limit + 1.0 / self._limit)
            self._changed.notify_all()

    def too_much(self) -> None:
        with self._changed:
            self._limit = max(1.0, self._limit / 2.0)


class Collector:
    """Asks one teacher for one run. ``count`` gives a prompt's tokens for the ceiling's worst case."""

    def __init__(
        self,
        teacher: Askable,
        section: Collect,
        folder: Path,
        *,
        count: Callable[[str], int],
        reuse: Sequence[Path] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._teacher = teacher
        self._section = section
        self._folder = folder
        self._count = count
        self._sleep = sleep
        self._budget = Budget(section.ceiling, section.price, batch=section.batch)
        self._answers = load_all(reuse)
        self._gate = Gate(section.concurrency)

    def run(
        self, prompts: Sequence[Prompt], *, held_out: float, seed: int, report: Callable[[int, int], None] | None = None
    ) -> Collected:
        """Ask for every prompt's samples that are not on disk yet. ``report`` takes (done, of).

        ``held_out`` and ``seed`` mark the rows that training must not see. Raises ResourceError when the record
        can't be written.
        """
        jobs = [(prompt, sample) for prompt in prompts for sample in range(self._section.sampling.samples)]
        got: dict[tuple[str, int], Exchange] = {}
        with SealedLog.open(self._folder / "record", pace=0.0) as log:
            own = _load_own(self._folder / "record", self._budget)
            todo = []
            for prompt, sample in jobs:
                request = self._request(prompt, sample)
                found = own.take(request) or self._answers.take(request)
                if found is None:
                    todo.append((prompt, sample))
                else:
                    got[prompt.prompt_id, sample] = found
            reused = len(got)
            stopped, failed = self._ask_all(log, todo, got, report)
        rows = [_row(p, s, got[p.prompt_id, s], held_out, seed) for p, s in jobs if (p.prompt_id, s) in got]
        asked = len(got) - reused
        return Collected(rows, self._budget.spent, asked, reused, len(todo) - asked - len(failed), stopped, failed)

    def _ask_all(
        self,
        log: SealedLog,
        todo: Sequence[tuple[Prompt, int]],
        got: dict[tuple[str, int], Exchange],
        report: Callable[[int, int], None] | None,
    ) -> tuple[str | None, dict[str, str]]:
        halt = threading.Event()
        reasons: list[str] = []
        failed: dict[str, str] = {}

        def work(prompt: Prompt, sample: int) -> Exchange | None:
            if halt.is_set():
                return None
            with self._gate:
                why = self._reserve(prompt)
                if why is not None:
                    reasons.append(why)
                    halt.set()
                    return None
                return self._ask(log, prompt, sample)

        with ThreadPoolExecutor(self._section.concurrency) as pool:
            jobs = {pool.submit(work, prompt, sample): (prompt, sample) for prompt, sample in todo}
            try:
                for done, job in enumerate(as_completed(jobs), 1):
                    prompt, sample = jobs[job]
                    try:
                        exchange = job.result()
                    except _Unanswered as error:
                        failed[f"{prompt.prompt_id}:{sample}"] = str(error)
                        continue
                    if exchange is not None:
                        got[prompt.prompt_id, sample] = exchange
                    if report is not None:
                        report(done, len(jobs))
            except BaseException:
                halt.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return (reasons[0] if reasons else None), failed

    def _reserve(self, prompt: Prompt) -> str | None:
        return self._budget.reserve(self._count(prompt.text), self._section.sampling.max_tokens)

    def _ask(self, log: SealedLog, prompt: Prompt, sample: int) -> Exchange:
        """Ask until it is answered or the attempts are used up; durable when this returns."""
        reserved = (self._count(prompt.text), self._section.sampling.max_tokens)
        paid: tuple[int, int] | None = None
        try:
            for attempt in range(self._section.attempts):
                started, clock = datetime.now(UTC), time.monotonic()
                try:
                    answer = self._teacher.generate([self._chat(prompt)], self._sampling(sample))[0][0]
                except ResourceError as error:
                    trouble: SpiritsafeError = error
                    wait = getattr(error, "retry_after", None)
                    if wait is not None:
                        self._gate.too_much()
                    self._sleep(wait if wait is not None else min(30.0, 0.25 * 2**attempt))
                    continue
                except SpiritsafeError as error:
                    raise _Unanswered(str(error)) from error
                self._gate.well()
                exchange = self._exchange(prompt, sample, answer, started, time.monotonic() - clock)
                log.append(exchange).result()
                paid = (exchange.prompt_tokens or reserved[0], exchange.completion_tokens or 0)
                return exchange
            raise _Unanswered(f"no answer after {self._section.attempts} attempts: {trouble}")
        finally:
            self._budget.settle(*reserved, paid)

    def _chat(self, prompt: Prompt) -> Chat:
        system = [{"role": "system", "content": self._section.system}] if self._section.system else []
        return Chat((*system, {"role": "user", "content": prompt.text}))

    def _sampling(self, sample: int) -> Sampling:
        wanted = self._section.sampling
        return Sampling(
            temperature=wanted.temperature,
            top_p=wanted.top_p,
            max_tokens=wanted.max_tokens,
            stop=wanted.stop,
            seed=wanted.seed + sample,
            logprobs=wanted.top_logprobs or None,
        )

    def _request(self, prompt: Prompt, sample: int) -> Exchange:
        """The exchange as far as it is known before it is asked."""
        wanted = self._section.sampling
        params = {
            "temperature": wanted.temperature,
            "top_p": wanted.top_p,
            "max_tokens": wanted.max_tokens,
            "seed": wanted.seed + sample,
            "stop": list(wanted.stop),
            "top_logprobs": wanted.top_logprobs,
        }
        return Exchange(
            exchange_id=uuid.uuid4().hex,
            time=datetime.now(UTC),
            account_id="distill",
            model=self._teacher.name,
            endpoint="distill",
            system=self._section.system,
            messages=(Message("user", prompt.text),),
            params=params,
        )

    def _exchange(self, prompt: Prompt, sample: int, answer: Answer, started: datetime, seconds: float) -> Exchange:
        reasoning, text = split_reasoning(answer.text)
        extra: dict[str, object] = {"prompt_id": prompt.prompt_id, "sample": sample, "finish": answer.finish}
        if answer.tokens:
            extra["tokens"] = [t.id for t in answer.tokens]
        if self._section.sampling.top_logprobs:
            extra["top"] = [[[c.id, c.text, c.logprob] for c in t.top] for t in answer.tokens]
        return msgspec.structs.replace(
            self._request(prompt, sample),
            time=started,
            completion=text,
            reasoning=reasoning,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            latency_ms=1000.0 * seconds,
            status=200,
            extra=extra,
        )


class _Unanswered(Exception):
    """One request got no answer; the others go on."""


def split_reasoning(text: str) -> tuple[str | None, str]:
    """Take a leading ``<think>...</think>`` apart from the answer: (reasoning or None, answer)."""
    begin, end = THINK
    if text.lstrip().startswith(begin) and end in text:
        reasoning, _, answer = text.lstrip()[len(begin) :].partition(end)
        return reasoning.strip(), answer.lstrip()
    return None, text


def _load_own(folder: Path, budget: Budget) -> Answers:
    """The run's own answers; what they cost counts against the ceiling."""
    answers = Answers()
    for _, exchange in read(folder):
        if answers.add(exchange):
            budget.count(exchange.prompt_tokens or 0, exchange.completion_tokens or 0)
    return answers


def _row(prompt: Prompt, sample: int, exchange: Exchange, held_out: float, seed: int) -> Row:
    finish = exchange.extra.get("finish")
    return Row(
        prompt_id=prompt.prompt_id,
        prompt=prompt.text,
        sample=sample,
        answer=exchange.completion or "",
        reasoning=exchange.reasoning,
        known=prompt.answer,
        finish=finish if isinstance(finish, str) else None,
        held_out=is_held_out(prompt.prompt_id, held_out, seed),
        exchange_id=exchange.exchange_id,
        source=prompt.source,
    )
