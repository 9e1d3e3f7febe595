"""What is asked: how rarely an account comes back to anything it asked before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from spiritsafe.detect.account import digests
from spiritsafe.detect.types import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import Family, IntArray, Peers, Rows, Tracker
    from spiritsafe.record.sketch import Part, SketchColumns

MOST_CORES = 1024


class Coverage:
    """How many questions an account at least draws from, read off its repetitions (the birthday problem).

    Of n prompts, n(n - 1)/2 pairs could be about the same; if they are drawn independently from N questions, one pair
    in N is. People come back to what they asked, bots hear the same question again, and a program does its job anew;
    who works through a corpus does not. The statistic is log10 of the pairs over the repetitions that an account with
    so few could have expected (an upper bound at two standard errors and a half), so few prompts say little. What is
    the same is told by the cores of prompts: greetings and numbers don't matter.
    """

    name = "coverage"
    version = 1
    sees: Literal["prompts"] = "prompts"
    family: Family = "asked"
    null = "this account comes back to its own questions as honest tenants do"
    parts: frozenset[Part] = frozenset()
    needs_peers = False
    by_kind = False
    weight = 1.0
    every_prompt = True
    clears = "a stock of its own to work through once, such as documents or tickets, would clear it"

    def features(self, sketches: SketchColumns) -> Rows:
        """The core of each text, split [n, digests.COLUMNS]."""
        return digests.split(sketches.core)

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing."""
        return _Cores()

    def from_state(self, state: bytes) -> Tracker:
        """The tracker whose ``state`` this was."""
        return _Cores.from_state(state)

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: from how many questions, at least, it seems to draw."""
        n, again = windows[:, 0].astype(np.float64), windows[:, 1].astype(np.float64)
        pairs = n * (n - 1.0) / 2.0
        most = again + 3.0 + 2.5 * np.sqrt(again + 1.0)
        questions = np.maximum(pairs / most, 0.1)
        return Measured(np.log10(questions), questions, n.astype(np.int64))

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return (
            f"its {n} prompts come back to earlier ones as rarely as if drawn from {effect:,.0f} questions or more"
            " (most accounts ask again what they asked before)"
        )


class _Cores:
    """How often each core came. Its window is [prompts, pairs of prompts with the same core]."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._n = 0
        self._again = 0

    @classmethod
    def from_state(cls, state: bytes) -> _Cores:
        """The tracker whose ``state`` this was."""
        held = np.frombuffer(state, dtype="<u8")
        made = cls()
        made._n, made._again = int(held[0]), int(held[1])
        made._counts = dict(zip(held[2::2].tolist(), held[3::2].tolist(), strict=True))
        return made

    def learn(self, rows: Rows) -> None:
        """Take in cores that were split. Beyond ``MOST_CORES`` different ones only repetitions are noticed."""
        for core in digests.joined(rows).tolist():
            before = self._counts.get(core, 0)
            self._n += 1
            self._again += before
            if before or len(self._counts) < MOST_CORES:
                self._counts[core] = before + 1

    def window(self) -> Rows:
        """[prompts, pairs] as float32."""
        return np.array([self._n, self._again], dtype=np.float32)

    def state(self) -> bytes:
        """The two numbers, and each core with its count."""
        flat = [self._n, self._again]
        for core, count in sorted(self._counts.items()):
            flat += [core, count]
        return np.array(flat, dtype="<u8").tobytes()
