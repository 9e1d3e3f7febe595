"""Collecting: asking the teacher, so that what was paid for is never lost and never paid for twice.

Each worker asks one request, waits until its answer is durable in the run's sealed record, and only then asks the
next. A kill can lose at most the requests that were under way. What is in the record, or in one that the recipe
names under ``reuse``, is found again by the digest of its request and not asked.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from spiritsafe.distill.answers import Answers, load_all
from spiritsafe.distill.budget import Budget, Spent, estimate
from spiritsafe.distill.recipe import Collect
from spiritsafe.distill.requests import Requests
from spiritsafe.distill.rows import Prompt, Row, is_held_out
from spiritsafe.errors import InputError, ResourceError
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.log import SealedLog
from spiritsafe.record.reader import read
from spiritsafe.teach.types import Answer, Sampling, Unwell
from spiritsafe.teach.types import Prompt as Asked

LONGEST_REST = 600.0
PILOT = 16  # answers after which a forecast is made again

Job = tuple[Prompt, int]
"""A prompt and the number of its sample."""


class Askable(Protocol):
    """The part of a teacher that collecting needs."""

    name: str

    def generate(self, prompts: Sequence[Asked], sampling: Sampling) -> list[list[Answer]]: ...


class Collected(NamedTuple):
    """``rows`` in the order of the prompts. ``asked`` were paid for now, ``reused`` were on disk already, ``unasked``
    were left for the ceiling (``stopped`` says which). ``failed`` says why for each that got no answer and may get
    one when it is asked again, ``refused`` for each that the teacher will never take.
    """

    rows: list[Row]
    spent: Spent
    asked: int
    reused: int
    unasked: int
    stopped: str | None
    failed: dict[str, str]
    refused: dict[str, str]


class Outcome:
    """What asking brought so far; filled by one thread."""

    def __init__(self) -> None:
        self.got: dict[tuple[str, int], Exchange] = {}
        self.failed: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.stopped: str | None = None


class Ask(Protocol):
    """A way to have ``jobs`` answered: each answer is in ``log``, durable, before it is in ``outcome``."""

    def __call__(
        self, log: SealedLog, jobs: Sequence[Job], outcome: Outcome, report: Callable[[int, int], None]
    ) -> None: ...


class Gate:
    """How many requests may be under way: half as many when the teacher says that it is too much, one more for each
    round of answers that came (additive increase, multiplicative decrease). Requests that were under way together
    halve it once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._busy = 0
        self._cuts = 0
        self._ill = 0
        self._shut_until = 0.0
        self._open = False
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        return max(1, int(self._limit))

    def enter(self) -> int:
        """Wait for a place; returns a ticket to leave with."""
        with self._changed:
            while not self._open and ((rest := self._shut_until - time.monotonic()) > 0 or self._busy >= self.limit):
                self._changed.wait(rest if rest > 0 else None)
            self._busy += 1
            return self._cuts

    def leave(self) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    def well(self) -> None:
        """An answer came."""
        with self._changed:
            self._ill = 0
            self._limit = min(float(self._most), self._limit + 1.0 / self._limit)
            self._changed.notify_all()

    def ill(self) -> int:
        """No answer came; returns for how many requests in a row."""
        with self._changed:
            self._ill += 1
            return self._ill

    def too_much(self, ticket: int, rest: float) -> None:
        """The teacher was asked too much by the holder of ``ticket``; nobody enters for ``rest`` seconds."""
        with self._changed:
            if ticket == self._cuts:
                self._cuts += 1
                self._limit = max(1.0, self._limit / 2.0)
            self._shut_until = max(self._shut_until, time.monotonic() + min(rest, LONGEST_REST))

    def rest(self, seconds: float) -> None:
        """Sleep outside the gate, unless everybody is let go."""
        with self._changed:
            self._changed.wait_for(lambda: self._open, seconds)

    @property
    def ending(self) -> bool:
        return self._open

    def let_go(self) -> None:
        """Nobody waits any more: collecting ends."""
        with self._changed:
            self._open = True
            self._changed.notify_all()


class Collector:
    """Collects for one run. ``ask`` has the jobs answered that are not on disk; ``count`` gives a prompt's tokens."""

    def __init__(
        self,
        requests: Requests,
        section: Collect,
        folder: Path,
        ask: Ask,
        budget: Budget,
        reuse: Sequence[Path] = (),
        *,
        count: Callable[[str], int] = len,
    ) -> None:
        self._requests = requests
        self._section = section
        self._folder = folder
        self._ask = ask
        self._budget = budget
        self._answers = load_all(reuse)
        self._count = count

    def run(
        self,
        prompts: Sequence[Prompt],
        *,
        held_out: float,
        seed: int,
        report: Callable[[int, int], None] = lambda done, of: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> Collected:
        """Ask for every prompt's samples that are not on disk yet. ``report`` takes (done, of); ``say`` hears what it
        will take before the first is asked, and again once answers have shown how long they are.

        ``held_out`` and ``seed`` mark the rows that training must not see. Raises ResourceError when the record
        can't be written, or when the teacher can't be asked at all; what was answered is kept.
        """
        jobs = [(prompt, sample) for prompt in prompts for sample in range(self._section.sampling.samples)]
        outcome = Outcome()
        with SealedLog.open(self._folder / "record", pace=0.0) as log:
            own = _load_own(self._folder / "record", self._budget)
            todo = []
            for prompt, sample in jobs:
                request = self._requests.open(prompt, sample)
                found = own.take(request) or self._answers.take(request)
                if found is None:
                    todo.append((prompt, sample))
                else:
                    outcome.got[prompt.prompt_id, sample] = found
            reused = len(outcome.got)
            if todo:
                say(self._forecast(todo, outcome))

            def shown(done: int, of: int) -> None:
                report(done, of)
                if done == PILOT and reused < PILOT < of // 2:
                    left = [job for job in todo if (job[0].prompt_id, job[1]) not in outcome.got]
                    say(self._forecast(left, outcome))

            self._ask(log, todo, outcome, shown)
        got = outcome.got
        rows = [_row(p, s, got[p.prompt_id, s], held_out, seed) for p, s in jobs if (p.prompt_id, s) in got]
        asked = len(got) - reused
        return Collected(
            rows=rows,
            spent=self._budget.spent,
            asked=asked,
            reused=reused,
            unasked=len(todo) - asked - len(outcome.failed) - len(outcome.refused),
            stopped=outcome.stopped,
            failed=outcome.failed,
            refused=outcome.refused,
        )

    def _forecast(self, jobs: Sequence[Job], outcome: Outcome) -> str:
        section = self._section
        lengths = [e.completion_tokens for e in outcome.got.values() if e.completion_tokens is not None]
        asked = [self._count(prompt.text) for prompt, _ in jobs]
        most = section.sampling.max_tokens
        found = estimate(asked, lengths, most, section.price, batch=section.batch)
        return f"collect: {found.line(section.price.currency)}"


class AskEach:
    """One request a job, as many at once as the teacher bears. ``count`` gives a prompt's tokens for the ceiling's
    worst case; ``pause`` is the first of the doubling pauses, in seconds, before a failed request is asked again.
    """

    def __init__(
        self,
        teacher: Askable,
        requests: Requests,
        section: Collect,
        budget: Budget,
        *,
        count: Callable[[str], int],
        pause: float = 0.25,
    ) -> None:
        self._teacher = teacher
        self._requests = requests
        self._section = section
        self._budget = budget
        self._count = count
        self._pause = pause

    def __call__(
        self, log: SealedLog, jobs: Sequence[Job], outcome: Outcome, report: Callable[[int, int], None]
    ) -> None:
        """See ``Ask``. An error that will not pass is raised once the requests under way have ended."""
        gate = Gate(self._section.concurrency)
        halt = threading.Event()

        def work(prompt: Prompt, sample: int) -> Exchange | str | None:
            if halt.is_set():
                return None
            most = self._section.sampling.max_tokens
            reserved = (self._count(prompt.text), most)
            why = self._budget.reserve(*reserved)
            if why is not None:
                halt.set()
                return why
            paid: tuple[int, int] | None = None
            try:
                exchange = self._answer(log, gate, prompt, sample)
                paid = (exchange.prompt_tokens or reserved[0], exchange.completion_tokens or 0)
                return exchange
            except ResourceError as error:
                if not isinstance(error, Unwell):
                    halt.set()
                    gate.let_go()
                raise
            finally:
                self._budget.settle(*reserved, paid)

        with ThreadPoolExecutor(self._section.concurrency) as pool:
            futures = {pool.submit(work, *job): job for job in jobs}
            try:
                for done, future in enumerate(as_completed(futures), 1):
                    prompt, sample = futures[future]
                    try:
                        found = future.result()
                    except Unwell as error:
                        outcome.failed[f"{prompt.prompt_id}:{sample}"] = str(error)
                    except _NotTaken as error:
                        outcome.refused[f"{prompt.prompt_id}:{sample}"] = str(error)
                    else:
                        if isinstance(found, str):
                            outcome.stopped = outcome.stopped or found
                        elif found is not None:
                            outcome.got[prompt.prompt_id, sample] = found
                    report(done, len(futures))
            except BaseException:
                halt.set()
                gate.let_go()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _answer(self, log: SealedLog, gate: Gate, prompt: Prompt, sample: int) -> Exchange:
        """Ask until it is answered or the attempts are used up; durable when this returns."""
        last = self._section.attempts - 1
        for attempt in range(last + 1):
            ticket = gate.enter()
            started, clock = datetime.now(UTC), time.monotonic()
            # Spread, so that many who were refused together do not come back together.
            rest = min(30.0, self._pause * 2**attempt) * random.uniform(0.5, 1.5)  # noqa: S311
            try:
                answer = self._teacher.generate([self._requests.chat(prompt)], self._requests.sampling(sample))[0][0]
            except Unwell as error:
                if error.busy:
                    gate.too_much(ticket, rest if error.retry_after is None else error.retry_after)
                if (in_a_row := gate.ill()) >= 2 * self._section.attempts * self._section.concurrency:
                    raise ResourceError(
                        f"given up after {in_a_row} requests in a row without an answer: {error.message}",
                        where=error.where,
                        remedy="Nothing is lost: see to the teacher, and go on with --resume.",
                    ) from error
                if attempt == last or gate.ending:
                    raise
            except InputError as error:
                raise _NotTaken(str(error)) from error
            else:
                gate.well()
                exchange = self._requests.answered(prompt, sample, answer, started, time.monotonic() - clock)
                log.append(exchange).result()
                return exchange
            finally:
                gate.leave()
            gate.rest(rest)
        raise AssertionError("the last attempt returns or raises")


class _NotTaken(Exception):
    """The teacher will not take this one request; the others go on."""


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
