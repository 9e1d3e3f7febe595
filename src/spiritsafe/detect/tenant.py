"""One account's running state: its distinct prompts in blocks, a tracker a detector, and what it shares."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import AccountDetector, HashArray, IntArray, Rows

BLOCK = 256
"""Distinct prompts after which an account's summary starts afresh, so that a change of purpose isn't averaged away."""

CHECKPOINTS = frozenset({16, 24, 32, 48, 64, 96, 128, 192, BLOCK})
"""Distinct prompts of a block at which an account is looked at, and never in between."""

KEPT = 2
MOST_VALUES = 64
MOST_MODELS = 16

Windows = tuple["Rows", ...]
"""One window a detector, in the detectors' order."""


class TenantState(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant as it is stored."""

    account_id: str
    started: float | None
    exchanges: int
    seen: list[int]
    trackers: list[bytes]
    done: list[list[bytes]]
    latest: list[bytes]
    best: list[tuple[float, float, int]]
    shared: list[list[int]]
    models: list[str]


class Tenant:
    """What is known of one account in its current period. At most about 40 KiB, whatever it sends.

    ``best`` is, for each detector, the highest statistic at any checkpoint so far, with its effect and n; it only
    rises. ``shared`` are the (kind, digest) pairs it used, the first ``MOST_VALUES`` of them.
    """

    __slots__ = (
        "_trackers",
        "account_id",
        "best",
        "done",
        "exchanges",
        "latest",
        "models",
        "seen",
        "shared",
        "started",
    )

    def __init__(self, account_id: str, detectors: Sequence[AccountDetector]) -> None:
        self.account_id = account_id
        self.shared: set[tuple[int, int]] = set()
        self.models: set[str] = set()
        self.start(detectors, None)

    def start(self, detectors: Sequence[AccountDetector], seconds: float | None) -> None:
        """Begin a new period; what it shares and which models it asked for stay known."""
        self.started = seconds
        self.exchanges = 0
        self.seen: set[int] = set()
        self.done: deque[Windows] = deque(maxlen=KEPT)
        self.latest: Windows = ()
        self.best: list[tuple[float, float, int]] = []
        self._trackers = [detector.tracker() for detector in detectors]

    def learn(
        self, detectors: Sequence[AccountDetector], keys: HashArray, rows: Sequence[Rows], at: IntArray
    ) -> list[Windows]:
        """Take in prompts by their keys, equal for near-identical prompts; ``rows`` are features, one array a detector,
        and prompt i stands in row ``at[i]`` of each.

        A prompt counts once a block, save for detectors that want every prompt. Returns the windows at the
        checkpoints that were passed, oldest first.
        """
        passed: list[Windows] = []
        fresh: list[int] = []
        every: list[int] = []
        for key, place in zip(keys.tolist(), at.tolist(), strict=True):
            every.append(place)
            if key in self.seen:
                continue
            self.seen.add(key)
            fresh.append(place)
            if len(self.seen) in CHECKPOINTS:
                passed.append(self._reach(detectors, fresh, every, rows))
                fresh, every = [], []
                if len(self.seen) == BLOCK:
                    self._close(detectors)
        self._add(detectors, fresh, every, rows)
        return passed

    def windows(self) -> list[Windows]:
        """The last windows: of up to ``KEPT`` full blocks and of the latest checkpoint."""
        return [*self.done, *([self.latest] if self.latest else [])]

    def share(self, kind: int, value: int) -> bool:
        """Note that it used a value; returns whether that was new."""
        pair = (kind, value)
        if pair in self.shared or len(self.shared) >= MOST_VALUES:
            return False
        self.shared.add(pair)
        return True

    def state(self) -> TenantState:
        """All that ``from_state`` needs."""
        return TenantState(
            account_id=self.account_id,
            started=self.started,
            exchanges=self.exchanges,
            seen=sorted(self.seen),
            trackers=[tracker.state() for tracker in self._trackers],
            done=[[window.tobytes() for window in windows] for windows in self.done],
            latest=[window.tobytes() for window in self.latest],
            best=self.best,
            shared=[list(pair) for pair in sorted(self.shared)],
            models=sorted(self.models),
        )

    @classmethod
    def from_state(cls, state: TenantState, detectors: Sequence[AccountDetector]) -> Tenant:
        """The tenant whose ``state`` this was, with the same detectors."""
        made = cls(state.account_id, detectors)
        made.started = state.started
        made.exchanges = state.exchanges
        made.seen = set(state.seen)
        made._trackers = [d.from_state(held) for d, held in zip(detectors, state.trackers, strict=True)]
        made.done.extend(tuple(np.frombuffer(w, dtype=np.float32) for w in windows) for windows in state.done)
        made.latest = tuple(np.frombuffer(w, dtype=np.float32) for w in state.latest)
        made.best = list(state.best)
        made.shared = {(kind, value) for kind, value in state.shared}
        made.models = set(state.models)
        return made

    def _add(
        self, detectors: Sequence[AccountDetector], fresh: list[int], every: list[int], rows: Sequence[Rows]
    ) -> None:
        for detector, tracker, features in zip(detectors, self._trackers, rows, strict=True):
            if places := every if detector.every_prompt else fresh:
                tracker.learn(features[places])

    def _reach(
        self, detectors: Sequence[AccountDetector], fresh: list[int], every: list[int], rows: Sequence[Rows]
    ) -> Windows:
        self._add(detectors, fresh, every, rows)
        self.latest = tuple(tracker.window() for tracker in self._trackers)
        return self.latest

    def _close(self, detectors: Sequence[AccountDetector]) -> None:
        self.done.append(self.latest)
        self.latest = ()
        self.seen = set()
        self._trackers = [detector.tracker() for detector in detectors]
