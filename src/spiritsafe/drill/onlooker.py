"""Two who sit beside the play: one looks at the record for the screen, one is the person on duty at the console."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from spiritsafe.detect.online import Watch
from spiritsafe.drill import account, looks
from spiritsafe.drill.board import Board, Standing
from spiritsafe.record.reader import follow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from spiritsafe.detect.reference import Reference
    from spiritsafe.store import Store

PERSON = "person on duty"
REVIEW = 4.0
"""Seconds that the person takes to look at a proposal. They confirm every one: see the report's assumptions."""

EVERY = 2.0


class Onlooker:
    """Follows the record and keeps ``board``'s evidence, links and rings up to date; ``run`` it in a thread."""

    def __init__(self, record: Path, reference: Reference, names: Mapping[str, str], board: Board, fdr: float) -> None:
        self._record = record
        self._watch = Watch(reference)
        self._names = names
        self._board = board
        self._fdr = fdr
        self._over = threading.Event()

    def run(self) -> None:
        """Learn each batch as it comes and look every ``EVERY`` seconds, until ``close``."""
        looked = 0.0
        for batch in follow(self._record, 0, self._over):
            self._watch.learn([exchange for _, exchange in batch])
            if time.monotonic() - looked >= EVERY:
                self._show(looks.look(self._watch, self._board.now))
                looked = time.monotonic()

    def close(self) -> None:
        """Let ``run`` end."""
        self._over.set()

    def _show(self, look: looks.Look) -> None:
        board = self._board
        wealth = look.wealth
        board.line = looks.line(look, self._fdr)
        board.evidence = {self._names[s]: e for s, e in wealth.items() if s in self._names}
        shared: dict[str, set[str]] = {}
        for ring in look.rings:
            for link in ring.links:
                shared.setdefault(link.kind, set()).add(link.value)
        board.links = {kind: len(values) for kind, values in shared.items()}
        board.rings = tuple((f"{len(ring.accounts)} linked", wealth[ring.subject]) for ring in look.rings)


class Duty:
    """The person on duty: looks at the decisions now and then, and confirms what waits once ``REVIEW`` has passed."""

    def __init__(self, store: Store, names: Mapping[str, str], board: Board, began: datetime) -> None:
        self._store = store
        self._names = names
        self._board = board
        self._began = began
        self._first_seen: dict[str, float] = {}

    def look(self) -> None:
        """One look: confirm what has waited long enough, show how things stand."""
        now = time.monotonic()
        for decision in self._store.decisions(status="pending"):
            if now - self._first_seen.setdefault(decision.decision_id, now) >= REVIEW:
                self._store.confirm(decision.decision_id, PERSON, "reasons and evidence read")
        told = sorted(self._store.decisions(), key=lambda decision: decision.time)
        self._board.decisions = tuple(
            Standing(
                at=(decision.time - self._began).total_seconds(),
                action=decision.action,
                subject="a ring" if decision.subject_kind == "ring" else self._names.get(decision.subject, "?"),
                status=decision.status,
                accounts=tuple(self._names.get(one, one) for one in decision.accounts),
            )
            for decision in told
        )

    def stopped(self) -> set[str]:
        """The names of the accounts that get no answers any more."""
        return {self._names[one] for one in account.bound(self._store.decisions(), account.STOP) if one in self._names}
