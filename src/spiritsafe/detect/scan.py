"""One look at a finished log: everything that is found in it."""

from __future__ import annotations

import secrets
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from spiritsafe.detect.engine.local import Local
from spiritsafe.detect.fold import Fold, Folded, Split, fold, split
from spiritsafe.detect.online import Watch
from spiritsafe.detect.partials import Partials, digest, keys
from spiritsafe.detect.rows import Notes
from spiritsafe.detect.texts import Cut, Table, cut
from spiritsafe.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from spiritsafe.detect.engine.types import Engine
    from spiritsafe.detect.log import Log, Partition, Source
    from spiritsafe.detect.reference import Reference
    from spiritsafe.detect.types import Evaluation
    from spiritsafe.store.models import Grant

EVERYTHING = float("-inf")
AT_ONCE = 16
"""Partitions that are split before their shares are learnt: what lies on the disk between the two steps."""

MOST_AT_ONCE = 128
"""Buckets of a file that is split in one piece: its partitions of two million rows, in shares of 250,000."""

TEXTS_AT_ONCE = 200_000
"""Rows of a step for which there is one table of texts."""

_SPLITTING, _CUTTING = 0.15, 0.35
"""The parts of the work that splitting and cutting are, for the time estimate."""


@dataclass(frozen=True)
class Scanned:
    """``accounts`` are all accounts of the log, also those that asked too little to be looked at. ``notes`` say what
    was odd about the log. ``resumed`` is how many exchanges were known from an earlier scan. ``watch`` is what was
    learnt of all accounts, to explain the evaluation by.
    """

    evaluation: Evaluation
    accounts: list[str]
    exchanges: int
    seconds: float
    notes: tuple[str, ...]
    resumed: int
    watch: Watch


def scan(
    log: Log,
    *,
    grants: Sequence[Grant] = (),
    reference: Reference | None = None,
    report: Callable[[int], None] = lambda rows: None,
    engine: Engine | None = None,
    partials: Path | None = None,
) -> Scanned:
    """Look at a log. What a grant covers is left out before anything else.

    With a ``reference``, accounts are compared with it, otherwise with one another. ``report`` is told how many rows
    are done. ``engine`` runs the work, by default this process; the answer is the same, byte for byte. ``partials`` is
    a folder where what was learnt is kept for a scan of the same files and more; on a cluster all nodes must see it.
    """
    began = time.perf_counter()
    sources, copies = _distinct(log.sources)
    with tempfile.TemporaryDirectory(prefix="spiritsafe-scan-", dir=partials and Partials(partials).folder) as work:
        # A longer log that begins with the same file has as many buckets.
        buckets = _buckets(sources[0].rows if sources else 0)
        run = _Run(Path(work), tuple(grants), reference, engine or Local(1), report, buckets)
        resumed = _read(run, sources, None if partials is None else Partials(partials))
        run.engine.rest()
        watch = Watch(reference)
        watch.judge_from(msgspec.msgpack.decode(path.read_bytes(), type=Folded).watch for path in run.states)
    evaluation = watch.evaluate_alone(notable=EVERYTHING) if reference is None else watch.evaluate(notable=EVERYTHING)
    # In an order that doesn't depend on how accounts were dealt into buckets.
    findings = tuple(sorted(evaluation.findings, key=lambda finding: (finding.subject_kind, finding.subject)))
    evaluation = msgspec.structs.replace(evaluation, findings=findings)
    report(log.rows)
    told = (*run.notes.told(), *copies)
    return Scanned(evaluation, sorted(run.accounts), run.rows, time.perf_counter() - began, told, resumed, watch)


def collect(log: Log, *, grants: Sequence[Grant] = (), report: Callable[[int], None] = lambda rows: None) -> Watch:
    """Read a log for a reference: every prompt, in the order of the log."""
    watch = Watch(collect=True)
    done = 0
    for rows, batch in log.batches(watch.parts, grants):
        watch.learn_batch(batch)
        done += rows
        report(done)
    return watch


@dataclass
class _Run:
    """A scan at work: ``states`` are the buckets' partial results so far."""

    work: Path
    grants: tuple[Grant, ...]
    reference: Reference | None
    engine: Engine
    report: Callable[[int], None]
    buckets: int
    states: list[Path] = field(default_factory=list)
    rows: int = 0
    accounts: set[str] = field(default_factory=set)
    notes: Notes = field(default_factory=Notes)
    steps: int = 0
    seed: int = field(default_factory=lambda: secrets.randbits(63))

    def learn(self, sources: Sequence[Source]) -> None:
        """Go on with these files."""
        for here in _steps(sources):
            each = [(number, partition) for number, group in enumerate(here) for partition in group]
            count = max(1, sum(partition.rows for _, partition in each) // TEXTS_AT_ONCE)
            tasks = [
                Split(number, partition, self.grants, self.buckets, count, self.work, self.seed)
                for number, (_, partition) in enumerate(each)
            ]
            shares: list[list[list[Path]]] = [[[] for _ in here] for _ in range(self.buckets)]
            texts: list[list[Path]] = [[] for _ in range(count)]
            rows, before = 0, self.rows
            for (group, _), parcel in zip(each, self.engine.run(split, tasks), strict=True):
                rows += parcel.rows
                self.accounts |= parcel.accounts
                self.notes += parcel.notes
                for groups, path in zip(shares, parcel.shares, strict=True):
                    groups[group].extend(() if path is None else (path,))
                for files, path in zip(texts, parcel.texts, strict=True):
                    files.extend(() if path is None else (path,))
                self.report(before + int(rows * _SPLITTING))
            tables = self._cut(texts, before, rows)
            self._fold(shares, tables, before, rows)
            for table in tables:
                table.drop()
            self.rows = before + rows

    def _cut(self, texts: list[list[Path]], before: int, rows: int) -> tuple[Table, ...]:
        tables = tuple(Table(self.work / f"table-{number:05d}") for number in range(len(texts)))
        names = tuple(detector.name for detector in Watch(self.reference).detectors)
        tasks = [Cut(tuple(shares), names, table) for shares, table in zip(texts, tables, strict=True)]
        for number, _ in enumerate(self.engine.run(cut, tasks)):
            for path in texts[number]:
                path.unlink()
            self.report(before + int(rows * (_SPLITTING + _CUTTING * (number + 1) / len(tasks))))
        return tables

    def _fold(self, shares: list[list[list[Path]]], tables: tuple[Table, ...], before: int, rows: int) -> None:
        self.steps += 1
        known: Sequence[Path | None] = self.states or [None] * len(shares)
        after = [self.work / f"state-{self.steps}-{number:05d}" for number in range(len(shares))]
        tasks = [
            Fold(tuple(map(tuple, groups)), tables, state, target, self.reference)
            for groups, state, target in zip(shares, known, after, strict=True)
        ]
        for number, twice in enumerate(self.engine.run(fold, tasks)):
            self.notes += Notes(twice=twice)
            for path in (path for group in shares[number] for path in group):
                path.unlink()
            begun = _SPLITTING + _CUTTING
            self.report(before + int(rows * (begun + (1.0 - begun) * (number + 1) / len(tasks))))
        self.states = after


def _steps(sources: Sequence[Source]) -> Iterator[list[list[Partition]]]:
    """What is split before it is learnt: groups of partitions, each of one file, and the same ones wherever in a scan
    the file stands. So it doesn't matter to what is learnt whether the files before were known.
    """
    step: list[list[Partition]] = []
    for source in sources:
        partitions = [partition for partition in source.partitions if partition.rows]
        for start in range(0, len(partitions), AT_ONCE):
            step.append(partitions[start : start + AT_ONCE])
            if sum(map(len, step)) >= AT_ONCE:
                yield step
                step = []
    if step:
        yield step


def _read(run: _Run, sources: Sequence[Source], partials: Partials | None) -> int:
    """Read all files, from where an earlier scan ended if it kept that; returns how many rows that spared."""
    if partials is None:
        run.learn(sources)
        return 0
    names = keys(sources, run.grants, run.reference)
    first = 0
    for place in reversed(range(len(names))):
        point = partials.find(names[place])
        if point is not None:
            first, run.states, run.rows = place + 1, partials.files(names[place], point), point.rows
            run.accounts, run.notes = set(point.accounts), point.notes
            break
    resumed = run.rows
    # The last file may still grow: how things stand before it is worth as much as how they stand after it.
    for stop in sorted({max(first, len(names) - 1), len(names)} - {first}):
        run.learn(sources[first:stop])
        partials.keep(names[stop - 1], run.states, run.rows, sorted(run.accounts), run.notes)
        first = stop
    run.learn(sources[len(names) :])
    for name in names[:-2]:
        partials.drop(name)
    return resumed


def _distinct(sources: Sequence[Source]) -> tuple[list[Source], tuple[str, ...]]:
    """Files with the same bytes once, and what to say about the others."""
    held: dict[tuple[int, str], Source] = {}
    kept, copies = [], []
    sizes = [0 if source.sealed else _size(source.path) for source in sources]
    for source, size in zip(sources, sizes, strict=True):
        if source.sealed or sizes.count(size) == 1:
            kept.append(source)
            continue
        first = held.setdefault((size, digest(source.path)), source)
        if first is source:
            kept.append(source)
        else:
            copies.append(f"{source.path} holds the same bytes as {first.path} and was left out")
    return kept, tuple(copies)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise InputError(
            f"the file can't be read: {error.strerror}",
            remedy="Leave logs where they are while they are scanned.",
            where=str(path),
        ) from error


def _buckets(rows: int) -> int:
    """How many buckets, by the rows of the first file: so many that what is split at once of a bucket is learnt at
    once, and each fits into a process.
    """
    return max(1, min(MOST_AT_ONCE, rows // 200_000), rows // 2_000_000)
