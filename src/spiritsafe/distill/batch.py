"""Collecting through a provider's batch endpoint: hundreds of requests in one file, cheaper, answered within a day.

A batch counts as submitted only once its id is on disk. Before it is sent, a note with its mark and the digests of
its requests is; the mark travels in the batch's metadata. So a run that was killed at any moment looks for the mark
at the provider before it sends anything again, and fetches what was paid for. One gap is left to the provider: a
request that was on its way when we died, and shows in its list only after we have looked.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from spiritsafe.distill.answers import request_digest
from spiritsafe.distill.batch_api import ENDPOINT, Batch, BatchApi
from spiritsafe.distill.batch_notes import Note, Notes
from spiritsafe.distill.budget import Budget
from spiritsafe.distill.collect import Job, Outcome
from spiritsafe.distill.recipe import Collect
from spiritsafe.distill.requests import Requests
from spiritsafe.errors import InputError, ResourceError
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.log import SealedLog
from spiritsafe.teach.openai import refusal
from spiritsafe.teach.types import Answer, Json, Prompt, Sampling, Unwell

MOST_REQUESTS = 50_000
MOST_BYTES = 90_000_000
WINDOW = "24h"
LONGEST_POLL = 60.0

T = TypeVar("T")


class Writer(Protocol):
    """The part of an ``OpenAITeacher`` that batches need."""

    def body(self, prompt: Prompt, sampling: Sampling) -> Json: ...

    def read(self, body: Json, sampling: Sampling) -> list[Answer]: ...


class Line(msgspec.Struct, frozen=True):
    """One line of an output or an error file."""

    custom_id: str
    response: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class Piece(NamedTuple):
    """Requests that go into one batch, as the lines of its file."""

    digests: tuple[str, ...]
    lines: bytes


class AskBatches:
    """The provider answers all jobs in batches. ``folder`` keeps the notes; ``poll`` is the first pause, in seconds,
    between two looks at a batch. What fails is asked again in another batch, ``section.attempts`` times at most.
    """

    def __init__(
        self,
        api: BatchApi,
        teacher: Writer,
        requests: Requests,
        section: Collect,
        budget: Budget,
        folder: Path,
        *,
        count: Callable[[str], int],
        poll: float = 5.0,
    ) -> None:
        self._api = api
        self._teacher = teacher
        self._requests = requests
        self._section = section
        self._budget = budget
        self._notes = Notes(folder)
        self._count = count
        self._poll = poll

    def __call__(
        self, log: SealedLog, jobs: Sequence[Job], outcome: Outcome, report: Callable[[int, int], None]
    ) -> None:
        """See ``collect.Ask``. Raises ResourceError if the provider will not take a batch."""
        todo = _Todo({self._digest(job): job for job in jobs})

        def show(running: int) -> None:
            report(min(len(outcome.got) - before + running, len(jobs)), max(1, len(jobs)))

        before = len(outcome.got)
        waiting = [found for note in self._notes.read() if (found := self._found(note))]
        while True:
            for note in waiting:
                ended = self._ended(note, outcome, show)
                if ended is None:
                    return
                self._store(log, note, ended, todo, outcome)
                self._notes.remove(note)
                show(0)
                _check_finished(ended, f"{self._api.url} {ended.id}")
            if todo.raised is not None:
                raise todo.raised
            chosen = self._reserved(todo, outcome)
            if not chosen:
                return
            waiting = [self._submit(piece) for piece in self._pieces(chosen, todo)]

    def _digest(self, job: Job) -> str:
        digest = request_digest(self._requests.open(*job))
        assert digest is not None
        return digest

    def _found(self, note: Note) -> Note | None:
        """The note of a batch that was submitted; None for one that never reached the provider: its note is removed."""
        if note.batch_id is not None:
            return note
        batch = self._patiently(lambda: self._api.find(note.mark))
        if batch is None:
            self._notes.remove(note)
            return None
        return self._notes.write(msgspec.structs.replace(note, batch_id=batch.id))

    def _reserved(self, todo: _Todo, outcome: Outcome) -> list[str]:
        """The digests of what is to be asked now, as far as the ceiling allows, with money set aside for each."""
        chosen: list[str] = []
        for digest in todo.left(self._section.attempts, outcome):
            why = self._budget.reserve(*self._worst(todo.jobs[digest]))
            if why is not None:
                outcome.stopped = outcome.stopped or (None if chosen else why)
                break
            chosen.append(digest)
            todo.reserved.add(digest)
        return chosen

    def _worst(self, job: Job) -> tuple[int, int]:
        return self._count(job[0].text), self._section.sampling.max_tokens

    def _pieces(self, digests: Sequence[str], todo: _Todo) -> Iterator[Piece]:
        chosen: list[str] = []
        lines: list[bytes] = []
        size = 0
        for digest in digests:
            prompt, sample = todo.jobs[digest]
            body = self._teacher.body(self._requests.chat(prompt), self._requests.sampling(sample))
            line = msgspec.json.encode({"custom_id": digest, "method": "POST", "url": ENDPOINT, "body": body}) + b"\n"
            if chosen and (len(chosen) == MOST_REQUESTS or size + len(line) > MOST_BYTES):
                yield Piece(tuple(chosen), b"".join(lines))
                chosen, lines, size = [], [], 0
            chosen.append(digest)
            lines.append(line)
            size += len(line)
        if chosen:
            yield Piece(tuple(chosen), b"".join(lines))

    def _submit(self, piece: Piece) -> Note:
        """Submit once: after any doubt the provider is asked for the mark before anything is sent again."""
        note = self._notes.write(Note(mark=uuid.uuid4().hex, requests=piece.digests))
        file_id = self._patiently(lambda: self._api.upload(piece.lines, note.mark))
        sent = False

        def create() -> Batch:
            nonlocal sent
            found = self._api.find(note.mark) if sent else None
            sent = True
            return found or self._api.create(file_id, note.mark, WINDOW)

        batch = self._patiently(create)
        return self._notes.write(msgspec.structs.replace(note, batch_id=batch.id))

    def _ended(self, note: Note, outcome: Outcome, show: Callable[[int], None]) -> Batch | None:
        """Wait until the batch has ended; None if the ceiling of hours comes first."""
        rest = self._poll
        while True:
            batch = self._patiently(lambda: self._api.get(note.batch_id or ""))
            if batch.ended:
                return batch
            show(batch.request_counts.completed if batch.request_counts else 0)
            over = self._budget.late()
            if over is not None:
                outcome.stopped = f"{over}; batch {batch.id} is still under way, and will be fetched by --resume"
                return None
            time.sleep(rest)
            rest = min(1.5 * rest, LONGEST_POLL)

    def _patiently(self, call: Callable[[], T]) -> T:
        """``call``, again after doubling pauses while the provider is not well."""
        for attempt in range(self._section.attempts):
            try:
                return call()
            except Unwell as error:
                if attempt == self._section.attempts - 1:
                    raise
                said = error.retry_after
            time.sleep(min(self._poll * 2**attempt if said is None else said, LONGEST_POLL))
        raise AssertionError("the last attempt returns or raises")

    def _store(self, log: SealedLog, note: Note, batch: Batch, todo: _Todo, outcome: Outcome) -> None:
        """Put every answer of a batch that has ended into the record; all are durable when this returns."""
        waiting: list[tuple[Job, Exchange, Future[int]]] = []
        known = set(note.requests)
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id is None:
                continue
            content = self._patiently(partial(self._api.content, file_id))
            for line in _lines(content):
                job = todo.jobs.get(line.custom_id)
                if job is None or line.custom_id not in known or _key(job) in outcome.got:
                    continue  # answered before a crash that kept the note, or not asked for any more
                exchange = self._exchange(line, job, todo)
                if exchange is not None:
                    waiting.append((job, exchange, log.append(exchange)))
                    known.discard(line.custom_id)
        for job, exchange, row in waiting:
            row.result()
            outcome.got[_key(job)] = exchange
        self._settle(note, todo, outcome)

    def _exchange(self, line: Line, job: Job, todo: _Todo) -> Exchange | None:
        """The answer on a line; None if there is none, and then ``todo`` knows why."""
        response = line.response or {}
        status, body = response.get("status_code"), response.get("body")
        try:
            if line.error is not None or status is None:
                raise Unwell(str((line.error or {}).get("message") or "no answer"), remedy="Ask again.")
            if status != 200 or not isinstance(body, dict):
                raise refusal(int(status), msgspec.json.encode(body).decode(), None, self._api.url)
            answer = self._teacher.read(body, self._requests.sampling(job[1]))[0]
        except Unwell as error:
            todo.trouble[line.custom_id] = str(error)
        except InputError as error:
            todo.refused[line.custom_id] = str(error)
        except ResourceError as error:
            todo.raised = error
        else:
            return self._requests.answered(*job, answer, _created(body), None)
        return None

    def _settle(self, note: Note, todo: _Todo, outcome: Outcome) -> None:
        """Account for every request of a batch that has ended."""
        for digest in note.requests:
            job = todo.jobs.get(digest)
            if job is None:
                continue
            exchange = outcome.got.get(_key(job))
            worst = self._worst(job)
            held = worst if digest in todo.reserved else (0, 0)
            todo.reserved.discard(digest)
            if exchange is None:
                self._budget.settle(*held, None)
                todo.tries[digest] = todo.tries.get(digest, 0) + 1
                todo.trouble.setdefault(digest, "the batch ended without an answer to it")
            else:
                self._budget.settle(*held, (exchange.prompt_tokens or worst[0], exchange.completion_tokens or 0))


class _Todo:
    """What is left to ask, by the digest of the request."""

    def __init__(self, jobs: dict[str, Job]) -> None:
        self.jobs = jobs
        self.tries: dict[str, int] = {}
        self.trouble: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.reserved: set[str] = set()
        self.raised: ResourceError | None = None

    def left(self, attempts: int, outcome: Outcome) -> list[str]:
        """What may be asked (again) now; what was refused or failed too often is put into ``outcome``."""
        found = []
        for digest, job in self.jobs.items():
            if _key(job) in outcome.got:
                continue
            name = f"{job[0].prompt_id}:{job[1]}"
            if digest in self.refused:
                outcome.refused[name] = self.refused[digest]
            elif self.tries.get(digest, 0) >= attempts:
                outcome.failed[name] = self.trouble[digest]
            else:
                found.append(digest)
        return found


def _check_finished(batch: Batch, where: str) -> None:
    """Raise ResourceError for a batch that the provider did not take, or that somebody has stopped there."""
    if batch.status == "failed":
        faults = "; ".join(f.message or f.code or "?" for f in batch.errors.data) if batch.errors else ""
        raise ResourceError(
            f"the provider did not take the batch: {faults or 'it does not say why'}",
            where=where,
            remedy="Nothing of it was answered. Mend what it names, and go on with --resume.",
        )
    if batch.status == "cancelled":
        raise ResourceError(
            "the batch was cancelled at the provider",
            where=where,
            remedy="What it had answered is kept; --resume asks on.",
        )


def _lines(content: bytes) -> Iterator[Line]:
    """The lines of a result file; one that makes no sense is passed over, and its request counts as unanswered."""
    for raw in content.splitlines():
        try:
            yield msgspec.json.decode(raw, type=Line)
        except msgspec.MsgspecError:
            continue


def _key(job: Job) -> tuple[str, int]:
    return job[0].prompt_id, job[1]


def _created(body: Json) -> datetime:
    """When the provider answered, as it says; now, where it does not."""
    created = body.get("created")
    return datetime.fromtimestamp(created, UTC) if isinstance(created, int | float) else datetime.now(UTC)
