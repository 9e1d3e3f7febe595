"""What a suspect said, kept as it came: a run that dies goes on from where it was, and a stranger can recompute it.

A transcript is a file of JSON lines. The first says who was asked; each further line holds one question's digest and
what came back. A line is on disk before the next question's answer is used. A last line that was cut short by a crash
is dropped and asked again.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from spiritsafe.errors import BrokenRecord, InputError, ResourceError, UsageError
from spiritsafe.prove.suspect import Identity, Reply, Scored, Suspect, lacking
from spiritsafe.teach.types import Access, Prompt, Raw, Sampling, Tokenizer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Q = TypeVar("Q")
Progress = Callable[[int, int], object]


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who was asked."""

    version: int
    identity: Identity
    access: Access


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One question and what came back. ``at`` is the digest of the question."""

    at: str
    replies: tuple[Reply, ...] | None = None
    score: tuple[float, ...] | None = None
    likeliest: tuple[int, ...] | None = None


def question(kind: str, *parts: Any) -> str:
    """The digest of a question: 32 hexadecimal digits of the SHA-256 of its canonical JSON."""
    return hashlib.sha256(msgspec.json.encode((kind, *parts), order="sorted")).hexdigest()[:32]


def asked(prompt: Prompt, sampling: Sampling) -> str:
    """The digest of a prompt to be answered. Raises ``UsageError`` without a seed: two draws would look like one."""
    if sampling.seed is None:
        raise UsageError("a kept question needs a seed", remedy="Give Sampling(seed=...), another for each draw.")
    return question("generate", _plain(prompt), sampling)


class Journaled:
    """A suspect whose every answer is kept at ``path``, and who is asked nothing twice.

    ``progress`` is called with (questions answered, questions asked for) of the call under way.
    """

    chunk = 1 << 30
    at_once = 1

    def __init__(self, suspect: Suspect, path: Path, progress: Progress = lambda done, of: None) -> None:
        self._suspect = suspect
        self._progress = progress
        self._lock = threading.Lock()
        self.path = path
        self.identity: Identity = suspect.identity
        self.access: Access = suspect.access
        self.tokenizer: Tokenizer | None = suspect.tokenizer
        self._known = self._open(path)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling]) -> list[list[Reply]]:
        """See ``Suspect.generate``."""
        samplings = [sampling] * len(prompts) if isinstance(sampling, Sampling) else list(sampling)
        items = list(zip(prompts, samplings, strict=True))
        keys = [asked(*item) for item in items]

        def ask(chunk: Sequence[tuple[Prompt, Sampling]]) -> list[Line]:
            found = self._suspect.generate([one for one, _ in chunk], [one for _, one in chunk])
            return [Line(at=asked(*item), replies=tuple(replies)) for item, replies in zip(chunk, found, strict=True)]

        self._gather(keys, items, ask)
        return [list(self._known[key].replies or ()) for key in keys]

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        """See ``Suspect.score``."""
        keys = [question("score", _plain(prompt), text) for prompt, text in pairs]

        def ask(chunk: Sequence[tuple[Prompt, str]]) -> list[Line]:
            found = self._suspect.score(chunk)
            return [
                Line(at=question("score", _plain(prompt), text), score=one.logprobs)
                for (prompt, text), one in zip(chunk, found, strict=True)
            ]

        self._gather(keys, list(pairs), ask)
        return [Scored(self._known[key].score or ()) for key in keys]

    def likeliest(self, ids: Sequence[int]) -> list[int]:
        """See ``Suspect.likeliest``."""
        key = question("likeliest", tuple(ids))
        self._gather([key], [ids], lambda chunk: [Line(at=key, likeliest=tuple(self._suspect.likeliest(chunk[0])))])
        return list(self._known[key].likeliest or ())

    def distributions(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """See ``Suspect.distributions``; not kept."""
        return self._suspect.distributions(ids)

    def close(self) -> None:
        """Close the file; the suspect is closed by whoever opened it."""
        self._file.close()

    def _open(self, path: Path) -> dict[str, Line]:
        head = Head(version=1, identity=self.identity, access=self.access)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and b"\n" in path.read_bytes():
                found, known, length = read(path)
                if found.identity != self.identity or found.access != self.access:
                    raise InputError(
                        f"it holds what {found.identity.name} ({found.access}) said, not {self.identity.name}",
                        where=str(path),
                        remedy="Ask another suspect under another --out.",
                    )
                os.truncate(path, length)
                self._file = path.open("ab")
                return known
            self._file = path.open("wb")
        except OSError as error:
            raise ResourceError(
                f"the transcript can't be written: {error.strerror}", where=str(path), remedy="Choose another --out."
            ) from error
        self._write([head])
        return {}

    def _write(self, lines: Sequence[msgspec.Struct]) -> None:
        data = b"".join(msgspec.json.encode(line, order="sorted") + b"\n" for line in lines)
        try:
            self._file.write(data)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ResourceError(
                f"the transcript can't be written: {error.strerror}",
                where=str(self.path),
                remedy="Make room and run the same command again: it goes on from there.",
            ) from error

    def _gather(self, keys: Sequence[str], items: Sequence[Q], ask: Callable[[Sequence[Q]], list[Line]]) -> None:
        """Ask what is not known yet, chunk by chunk; each chunk is kept as it comes, also when another fails."""
        wanted = {key: item for key, item in zip(keys, items, strict=True) if key not in self._known}
        waiting = list(wanted.values())
        chunks = [waiting[at : at + self._suspect.chunk] for at in range(0, len(waiting), self._suspect.chunk)]
        total, failed = len(wanted), threading.Event()
        done = 0

        def work(chunk: Sequence[Q]) -> None:
            nonlocal done
            if failed.is_set():
                return
            try:
                lines = ask(chunk)
            except BaseException:
                failed.set()
                raise
            with self._lock:
                self._write(lines)
                self._known.update((line.at, line) for line in lines)
                done += len(lines)
                self._progress(done, total)

        with ThreadPoolExecutor(max(1, self._suspect.at_once)) as pool:
            futures = [pool.submit(work, chunk) for chunk in chunks]
        for future in futures:
            if (error := future.exception()) is not None:
                raise self._stopped(error, done, total)

    def _stopped(self, error: BaseException, done: int, total: int) -> BaseException:
        if not isinstance(error, ResourceError):
            return error
        return ResourceError(
            f"{self.identity.name} stopped answering after {done} of {total} questions ({error.message})",
            where=error.where,
            remedy="What it said is kept. Run the same command again: it goes on from there.",
        )


class Replayed:
    """A transcript in the suspect's place: gives what was said, and nothing else."""

    chunk = 1 << 30
    at_once = 1

    def __init__(self, path: Path) -> None:
        head, self._known, length = read(path)
        if length != path.stat().st_size:
            raise BrokenRecord("its last line is cut short", where=str(path), remedy="Get the file again.")
        self.path = path
        self.identity: Identity = head.identity
        self.access: Access = head.access
        self.tokenizer: Tokenizer | None = None

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling]) -> list[list[Reply]]:
        """See ``Suspect.generate``. Raises ``BrokenRecord`` for a question that was not asked."""
        samplings = [sampling] * len(prompts) if isinstance(sampling, Sampling) else list(sampling)
        return [list(self._line(asked(*item)).replies or ()) for item in zip(prompts, samplings, strict=True)]

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        """See ``Suspect.score``."""
        return [Scored(self._line(question("score", _plain(p), text)).score or ()) for p, text in pairs]

    def likeliest(self, ids: Sequence[int]) -> list[int]:
        """See ``Suspect.likeliest``."""
        return list(self._line(question("likeliest", tuple(ids))).likeliest or ())

    def distributions(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Raises ``UsageError``: distributions are not kept."""
        raise lacking(self.identity, "text", "weights")

    def close(self) -> None:
        """Nothing is held open."""

    def _line(self, key: str) -> Line:
        found = self._known.get(key)
        if found is None:
            raise BrokenRecord(
                f"question {key} was never asked", where=str(self.path), remedy="Get the whole bundle again."
            )
        return found


def read(path: Path) -> tuple[Head, dict[str, Line], int]:
    """A transcript's head, its lines by question, and the length in bytes up to the last whole line.

    Raises ``BrokenRecord`` for a whole line that makes no sense.
    """
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    lines = whole.splitlines()
    try:
        head = msgspec.json.decode(lines[0], type=Head)
        known = {line.at: line for line in (msgspec.json.decode(raw, type=Line) for raw in lines[1:])}
    except (IndexError, msgspec.MsgspecError) as error:
        raise BrokenRecord(
            f"a line makes no sense: {error}", where=str(path), remedy="Get the file again from where it came from."
        ) from error
    return head, known, len(whole)


def _plain(prompt: Prompt) -> Any:
    """A prompt as JSON that tells a message from a text to be continued."""
    return {"raw": prompt.text} if isinstance(prompt, Raw) else prompt
