"""The watcher, a process beside the gateway: follows the record, judges, and writes decisions to the store.

``python -m spiritsafe.gateway.watch --data DIR --database URL`` prints one line of JSON when it has begun, and ends
with its standard input. It reads the record and the store and nothing else (``docs/decisions/0002``). What it
knows is kept in ``DATA/watch.state``; without that file, or with another reference, it reads the record anew.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from spiritsafe.detect.again import from_record
from spiritsafe.detect.explain import MOST_EACH, explain, told
from spiritsafe.detect.online import Watch
from spiritsafe.detect.reference import Reference
from spiritsafe.detect.reference import load as load_reference
from spiritsafe.detect.types import Finding
from spiritsafe.errors import InputError, ResourceError, SpiritsafeError
from spiritsafe.gateway.settings import seconds
from spiritsafe.policy.decide import changes, decide, permits
from spiritsafe.policy.rules import Rules
from spiritsafe.policy.rules import load as load_rules
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.keys import secret
from spiritsafe.record.reader import follow
from spiritsafe.store import Decision, Grant, Store, open_store

SAVE_SECONDS = 60.0
WAITING_BATCHES = 8
GENTLE = 10
"""How far the watcher stands back from the gateway, in the system's own measure of niceness."""

Rows = list[tuple[int, Exchange]]


class _Kept(msgspec.Struct):
    """What stands in ``watch.state``: the next row to read and what was learnt from those before."""

    row: int
    reference: str | None
    watch: bytes


class Watcher:
    """Learns from rows in their order, and judges when asked. ``reference`` is looked for at ``path``."""

    def __init__(self, folder: Path, store: Store, rules: Rules, path: Path) -> None:
        self._state = folder / "watch.state"
        self._record = folder / "record"
        self._store = store
        self._rules = rules
        self._path = path
        self._key = secret(folder / "keys" / "identity.key")
        self._reference, self._stamp = self._look()
        self._watch = Watch(self._reference, key=self._key)
        self.row = self._restore()
        self._judged = (-1, -1)

    def learn(self, rows: Rows) -> None:
        """Take in rows, and be ready for the one after them."""
        fresh = [exchange for number, exchange in rows if number >= self.row]
        self._watch.learn(fresh)
        self.row = max(self.row, rows[-1][0] + 1)

    def judge(self, now: datetime) -> list[Decision]:
        """Decide about what was found; returns what is new. Nothing is, unless something came into the record or
        changed in the store since the last time.
        """
        state = (self.row, self._store.generation())  # asked first: what changes from here on is for the next time
        if self._judged == state:
            return []
        grants = self._store.grants(live=True)
        found = self._watch.evaluate(granted=self._granted(grants, now))
        decided = decide(found.findings, grants, self._rules, now, tested=found.tested)
        known = [d for subject in {d.subject for d in decided} for d in self._store.decisions(subject=subject)]
        fresh = self._explained(changes(decided, known), found.findings)
        for decision in fresh:
            self._store.decide(decision)
        self._judged = state
        return fresh

    def outdated(self) -> bool:
        """Whether there is another reference now than the one it works with."""
        return _stamp(self._path) != self._stamp

    def save(self) -> None:
        """Keep what was learnt. Raises ``ResourceError``."""
        digest = self._reference.digest() if self._reference is not None else None
        kept = msgspec.msgpack.encode(_Kept(self.row, digest, self._watch.snapshot()))
        aside = self._state.with_suffix(".tmp")
        try:
            aside.write_bytes(kept)
            os.replace(aside, self._state)
        except OSError as error:
            remedy = "Free some space; until then the watcher reads the record anew when it begins."
            raise ResourceError(f"can't be written: {error.strerror}", remedy=remedy, where=str(self._state)) from error

    def _explained(self, decisions: list[Decision], findings: Sequence[Finding]) -> list[Decision]:
        """The decisions with what weighs most in them: the record is read again, of those accounts alone. No text is
        kept, only where it stands. What can't be read now stops no decision.
        """
        subjects = {decision.subject for decision in decisions}
        parts, key = self._watch.parts, self._key
        try:
            explained = explain(
                self._watch,
                [finding for finding in findings if finding.subject in subjects],
                lambda names: from_record(self._record, names, parts, each=MOST_EACH, key=key),
            )
        except SpiritsafeError as error:
            sys.stderr.write(f"spiritsafe watcher: decided without a second look at the exchanges: {error}\n")
            return decisions
        return [told(decision, explained) for decision in decisions]

    def _granted(self, grants: list[Grant], now: datetime) -> frozenset[str]:
        """The accounts whose grant covers all they asked for: they are read before any score."""
        tenants = self._watch.tenants
        return frozenset(
            grant.account_id
            for grant in grants
            if grant.account_id in tenants and permits(grant, tuple(tenants[grant.account_id].models), self._rules, now)
        )

    def _look(self) -> tuple[Reference | None, int | None]:
        stamp = _stamp(self._path)
        return (load_reference(self._path) if stamp is not None else None), stamp

    def _restore(self) -> int:
        try:
            kept = msgspec.msgpack.decode(self._state.read_bytes(), type=_Kept)
            digest = self._reference.digest() if self._reference is not None else None
            if kept.reference == digest:
                self._watch.restore(kept.watch)
                return kept.row
        except (FileNotFoundError, msgspec.DecodeError, InputError):
            pass  # nothing lost but time: all of it is in the record
        return 0


def _stamp(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


class Follower:
    """Reads the record in a thread and hands over batches; ``None`` once nothing came for a while."""

    def __init__(self, record: Path, start: int) -> None:
        self._batches: queue.Queue[Rows | SpiritsafeError] = queue.Queue(WAITING_BATCHES)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(record, start), name="record", daemon=True)
        self._thread.start()

    def next(self, patience: float) -> Rows | None:
        """The next batch, ``None`` if there is none within ``patience`` seconds. Raises what reading raised."""
        try:
            found = self._batches.get(timeout=patience)
        except queue.Empty:
            return None
        if isinstance(found, SpiritsafeError):
            raise found
        return found

    def close(self) -> None:
        """Read no further."""
        self._stop.set()
        while self._thread.is_alive():
            self.next(0.05)

    def _run(self, record: Path, start: int) -> None:
        try:
            for batch in follow(record, start, self._stop):
                self._batches.put(batch)
        except SpiritsafeError as error:
            self._batches.put(error)


def watch(make: Callable[[], Watcher], record: Path, every: float, stop: threading.Event) -> None:
    """Follow, learn and judge until ``stop``; begins anew with a watcher from ``make`` when the reference changes."""
    while not stop.is_set():
        watcher = make()
        follower = Follower(record, watcher.row)
        try:
            _follow(watcher, follower, every, stop)
        finally:
            follower.close()


def _follow(watcher: Watcher, follower: Follower, every: float, stop: threading.Event) -> None:
    judge_at = time.monotonic() + every
    save_at = time.monotonic() + SAVE_SECONDS
    while not stop.is_set() and not watcher.outdated():
        rows = follower.next(min(0.25, every))
        if rows:
            watcher.learn(rows)
        if time.monotonic() >= judge_at:
            _try(lambda: watcher.judge(datetime.now(UTC)))
            judge_at = time.monotonic() + every
        if time.monotonic() >= save_at:
            _try(watcher.save)
            save_at = time.monotonic() + SAVE_SECONDS
    _try(watcher.save)


def _try(step: Callable[[], object]) -> None:
    """Do what needs the store or the disk; if that is away now, the next round does it."""
    try:
        step()
    except ResourceError as error:
        sys.stderr.write(f"spiritsafe watcher: {error}\n")


def main(arguments: list[str] | None = None) -> int:
    """The process; see the module."""
    parser = argparse.ArgumentParser(prog="python -m spiritsafe.gateway.watch")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--every", default="5s")
    parser.add_argument("--policy", type=Path)
    parser.add_argument("--reference", type=Path)
    given = parser.parse_args(arguments)
    reference = given.reference or given.data / "reference"
    stop = threading.Event()
    try:
        os.nice(GENTLE)
        rules = load_rules(given.policy)
        with open_store(given.database) as store:

            def make() -> Watcher:
                return Watcher(given.data, store, rules, reference)

            make()  # what is wrong with the reference shows before we say that all is well
            sys.stdout.write(json.dumps({"watching": str(given.data), "reference": reference.exists()}) + "\n")
            sys.stdout.flush()
            threading.Thread(target=_stop_with_stdin, args=(stop,), daemon=True).start()
            watch(make, given.data / "record", seconds(given.every), stop)
    except SpiritsafeError as error:
        sys.stderr.write(f"spiritsafe watcher: {error}\n")
        return error.exit_code
    return 0


def _stop_with_stdin(stop: threading.Event) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
