"""One account's running state: its distinct prompts in blocks, its calls, a tracker a detector, and what it shares."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import AccountDetector, HashArray, IntArray, Rows, Tracker

BLOCK = 256
"""Distinct prompts after which an account's summary starts afresh, so that a change of purpose isn't averaged away."""

CHECKPOINTS = frozenset({16, 24, 32, 48, 64, 96, 128, 192, BLOCK})
"""Distinct prompts of a block at which an account is looked at, and never in between."""

FIRST_CALLS = 32
"""Calls of a period after which those are looked at, and again at each doubling and half way in between."""

KEPT = 2
WAITING = 64
MOST_VALUES = 64
MOST_MODELS = 16

Windows = tuple["Rows", ...]
"""One window a detector, in the detectors' order; an empty one for a detector that isn't to look now."""

_NONE = np.zeros(0, dtype=np.float32)


class Piece(NamedTuple):
    """Prompts up to a checkpoint: those ``fresh`` to their block, ``every`` one, and the count of distinct ones in the
    block that was ``reached``, 0 if that is no checkpoint.
    """

    fresh: list[int]
    every: list[int]
    reached: int


class TenantState(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant as it is stored."""

    account_id: str
    started: float | None
    exchanges: int
    calls: int
    seen: list[int]
    trackers: list[bytes]
    done: list[list[bytes]]
    latest: list[bytes]
    best: list[tuple[float, float, int]]
    shared: list[list[int]]
    models: list[str]


class Tenant:
    """What is known of one account in its current period. At most 64 KiB, whatever it sends.

    ``best`` is, for each detector, the highest statistic at any checkpoint so far, with its effect and n; it only
    rises. ``shared`` are the (kind, digest) pairs it used, the first ``MOST_VALUES`` of them.
    """

    __slots__ = (
        "_calls",
        "_looked",
        "_trackers",
        "_waiting",
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
        self._trackers: list[Tracker] = [detector.tracker() for detector in detectors]
        self._calls = 0
        self._looked: Windows | None = None
        self._waiting: list[Sequence[Rows]] = []

    def learn(
        self,
        detectors: Sequence[AccountDetector],
        keys: HashArray,
        rows: Sequence[Rows],
        at: IntArray,
        *,
        every_look: bool = True,
    ) -> list[Windows]:
        """Take in prompts by their keys, equal for near-identical prompts; ``rows`` are features, one array a detector,
        and prompt i stands in row ``at[i]`` of each.

        A prompt counts once a block, save for detectors that want every prompt. Returns the windows at the
        checkpoints that were passed, oldest first; without ``every_look`` those alone that are kept, in fewer steps.
        """
        passed: list[Windows] = []
        parts = pieces(keys, at, self.seen)
        last = max((place for place, part in enumerate(parts) if part.reached), default=-1)
        fresh: list[int] = []
        every: list[int] = []
        for place, part in enumerate(parts):
            fresh += part.fresh
            every += part.every
            if part.reached == BLOCK or place == last or (part.reached and every_look):
                passed.append(self._reach(detectors, fresh, every, rows))
                fresh, every = [], []
                if part.reached == BLOCK:
                    self._close(detectors)
        self._add(detectors, fresh, every, rows)
        return passed

    def learn_calls(
        self, detectors: Sequence[AccountDetector], rows: Sequence[Rows], *, every_look: bool = True
    ) -> list[Windows]:
        """Take in calls: ``rows`` are features [calls, width], one array a detector that sees calls, in their order.

        Returns the windows at the checkpoints that were passed, oldest first; none without ``every_look``.
        """
        passed: list[Windows] = []
        n, at = len(rows[0]) if rows else 0, 0
        while at < n:
            stop = min(n, at + _next_look(self._calls) - self._calls) if every_look else n
            # A copy: a view would keep the whole batch.
            self._waiting.append([each[at:stop].copy() for each in rows])
            self._calls += stop - at
            at = stop
            if every_look and _is_look(self._calls):
                passed.append(self._look(detectors))
        if sum(len(waiting[0]) for waiting in self._waiting) >= WAITING:
            self._settle(detectors)
        return passed

    def windows(self, detectors: Sequence[AccountDetector]) -> list[Windows]:
        """The last windows: of prompts in up to ``KEPT`` full blocks and at the latest checkpoint, and of all calls."""
        held = [*self.done, *([self.latest] if self.latest else [])]
        return [*held, self._look(detectors)] if self._calls >= FIRST_CALLS else held

    def largest(self, detectors: Sequence[AccountDetector], place: int) -> Rows:
        """The window of one detector that holds most, empty if it has none yet."""
        if detectors[place].sees == "calls":
            return self._look(detectors)[place] if self._calls >= FIRST_CALLS else _NONE
        held = [*self.done][-1:] or ([self.latest] if self.latest else [])
        return held[0][place] if held else _NONE

    def share(self, kind: int, value: int) -> bool:
        """Note that it used a value; returns whether that was new."""
        pair = (kind, value)
        if pair in self.shared or len(self.shared) >= MOST_VALUES:
            return False
        self.shared.add(pair)
        return True

    def state(self, detectors: Sequence[AccountDetector]) -> TenantState:
        """All that ``from_state`` needs."""
        self._settle(detectors)
        return TenantState(
            account_id=self.account_id,
            started=self.started,
            exchanges=self.exchanges,
            calls=self._calls,
            seen=sorted(self.seen),
            trackers=[tracker.state() for tracker in self._trackers],
            done=[[window.tobytes() for window in windows] for windows in self.done],
            latest=[window.tobytes() for window in self.latest],
            best=self.best,
            shared=[list(pair) for pair in sorted(self.shared)],
            models=sorted(self.models),
        )

    @classmethod
    def from_state(cls, state: TenantState, detectors: Sequence[AccountDetector], *, learns: bool = True) -> Tenant:
        """The tenant whose ``state`` this was, with the same detectors. One that is only to be judged, and ``learns``
        no more, takes a fifth of the memory.
        """
        made = cls(state.account_id, ())
        made.started = state.started
        made.exchanges, made._calls = state.exchanges, state.calls
        made.seen = set(state.seen) if learns else set()
        each = zip(detectors, state.trackers, strict=True)
        if learns or state.calls >= FIRST_CALLS:
            made._trackers = [d.from_state(held) if learns or d.sees == "calls" else d.tracker() for d, held in each]
        if not learns:
            made._looked = made._look(detectors) if state.calls >= FIRST_CALLS else ()
            made._trackers = []
        made.done.extend(tuple(np.frombuffer(w, dtype=np.float32) for w in windows) for windows in state.done)
        made.latest = tuple(np.frombuffer(w, dtype=np.float32) for w in state.latest)
        made.best = list(state.best)
        made.shared = {(kind, value) for kind, value in state.shared}
        made.models = set(state.models)
        return made

    def _add(
        self, detectors: Sequence[AccountDetector], fresh: list[int], every: list[int], rows: Sequence[Rows]
    ) -> None:
        seeing = (pair for pair in zip(detectors, self._trackers, strict=True) if pair[0].sees == "prompts")
        for (detector, tracker), features in zip(seeing, rows, strict=True):
            if places := every if detector.sees == "prompts" and detector.every_prompt else fresh:
                tracker.learn(features[places])

    def _reach(
        self, detectors: Sequence[AccountDetector], fresh: list[int], every: list[int], rows: Sequence[Rows]
    ) -> Windows:
        self._add(detectors, fresh, every, rows)
        each = zip(detectors, self._trackers, strict=True)
        self.latest = tuple(tracker.window() if d.sees == "prompts" else _NONE for d, tracker in each)
        return self.latest

    def _look(self, detectors: Sequence[AccountDetector]) -> Windows:
        """The calls' windows."""
        if self._looked is not None:
            return self._looked
        self._settle(detectors)
        each = zip(detectors, self._trackers, strict=True)
        return tuple(tracker.window() if d.sees == "calls" else _NONE for d, tracker in each)

    def _settle(self, detectors: Sequence[AccountDetector]) -> None:
        """Hand the waiting calls to their trackers: many at a time, since each time costs more than a call."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        seeing = (tracker for d, tracker in zip(detectors, self._trackers, strict=True) if d.sees == "calls")
        for place, tracker in enumerate(seeing):
            tracker.learn(np.concatenate([rows[place] for rows in waiting]))

    def _close(self, detectors: Sequence[AccountDetector]) -> None:
        self.done.append(self.latest)
        self.latest = ()
        each = zip(detectors, self._trackers, strict=True)
        self._trackers = [detector.tracker() if detector.sees == "prompts" else kept for detector, kept in each]


def pieces(keys: HashArray, at: IntArray, seen: set[int]) -> list[Piece]:
    """The prompts up to each checkpoint, the last piece those after it. Prompt i is told as ``at[i]``; ``seen`` are the
    keys of the block that goes on, and are brought up to date.
    """
    found: list[Piece] = []
    fresh: list[int] = []
    every: list[int] = []
    for key, place in zip(keys.tolist(), at.tolist(), strict=True):
        every.append(place)
        if key in seen:
            continue
        seen.add(key)
        fresh.append(place)
        if len(seen) in CHECKPOINTS:
            found.append(Piece(fresh, every, len(seen)))
            fresh, every = [], []
            if len(seen) == BLOCK:
                seen.clear()
    return [*found, Piece(fresh, every, 0)]


def _is_look(calls: int) -> bool:
    """Whether this is 2^k or 3 * 2^k, and no fewer than the first."""
    odd = calls & -calls
    return calls >= FIRST_CALLS and calls // odd in (1, 3)


def _next_look(calls: int) -> int:
    """The first checkpoint after so many calls."""
    if calls < FIRST_CALLS:
        return FIRST_CALLS
    whole = 1 << (calls.bit_length() - 1)
    return whole * 3 // 2 if calls < whole * 3 // 2 else whole * 2
