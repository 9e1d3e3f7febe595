"""How it is drawn: several answers to one prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from spiritsafe.detect.account import digests
from spiritsafe.detect.account.shares import share_at_least
from spiritsafe.detect.types import UNKNOWN, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.calls import Calls
    from spiritsafe.detect.types import Family, IntArray, Peers, Rows, Tracker

MOST_PROMPTS = 128
_MOST_DRAWN = 1e6


class Answers:
    """The share of an account's different prompts to which it drew several answers: by ``n``, or by asking the very
    same text again, unless at temperature 0.

    Rejection sampling and preference pairs need several answers to nearly every prompt. A health check repeats one
    prompt a thousand times and is one prompt; a popular question is one of many. The prompts with the smallest digests
    stand for all. The statistic is the lower end of Wilson's interval.
    """

    name = "answers"
    version = 1
    sees: Literal["calls"] = "calls"
    family: Family = "drawn"
    null = "this account asks for several answers as rarely as honest tenants of its kind do"
    needs_peers = False
    by_kind = True
    weight = 1.0
    clears = "an evaluation that samples, or a product that lets its users choose, once shown, would clear it"

    def features(self, calls: Calls) -> Rows:
        """The digest of the prompt, split, NaN without a prompt, and the answers drawn [n, 4]."""
        pieces = digests.split(calls.digest)
        pieces[calls.digest == 0] = np.nan
        drawn = np.fmax(calls.param("n"), 1.0)
        # At temperature 0 the same prompt brings the same answer: whatever it is asked again for, not for another one.
        again = np.where((calls.param("temperature") == 0.0) & (drawn == 1.0), 0.0, drawn)
        return np.column_stack([pieces, again]).astype(np.float32)

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing."""
        return _Drawn()

    def from_state(self, state: bytes) -> Tracker:
        """The tracker whose ``state`` this was."""
        return _Drawn.from_state(state)

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: the share of prompts. Unknown where no prompt is kept."""
        n, prompts, several = (windows[:, column].astype(np.float64) for column in range(3))
        share = several / np.maximum(prompts, 1.0)
        bound = share_at_least(several, np.maximum(prompts, 1.0))
        return Measured(np.where(prompts > 0.0, bound, UNKNOWN), share, n.astype(np.int64))

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return f"in its {n} calls it drew several answers to {effect:.0%} of its different prompts"


class _Drawn:
    """How many answers were drawn to each of the prompts with the smallest digests. Its window is
    [calls, prompts kept, those with several answers].
    """

    def __init__(self) -> None:
        self._digests = np.zeros(0, dtype=np.uint64)
        self._drawn = np.zeros(0)
        self._n = 0

    @classmethod
    def from_state(cls, state: bytes) -> _Drawn:
        """The tracker whose ``state`` this was."""
        held = np.frombuffer(state, dtype="<u8")
        made = cls()
        made._n = int(held[0])
        made._digests, made._drawn = held[1::2].astype(np.uint64), held[2::2].astype(np.float64)
        return made

    def learn(self, rows: Rows) -> None:
        """Take in calls [n, 4]; those without a prompt count for nothing."""
        rows = rows[~np.isnan(rows[:, 0])]
        self._n += len(rows)
        asked = np.concatenate([self._digests, digests.joined(rows[:, : digests.COLUMNS])])
        drawn = np.concatenate([self._drawn, rows[:, digests.COLUMNS]])
        each, at = np.unique(asked, return_inverse=True)
        self._digests = each[:MOST_PROMPTS]
        self._drawn = np.minimum(np.bincount(at, drawn, minlength=len(each)), _MOST_DRAWN)[:MOST_PROMPTS]

    def window(self) -> Rows:
        """[calls, prompts, those with several answers] as float32."""
        return np.array([self._n, len(self._drawn), (self._drawn >= 2.0).sum()], dtype=np.float32)

    def state(self) -> bytes:
        """The calls, and each prompt with its answers."""
        each = np.column_stack([self._digests, self._drawn.astype(np.uint64)])
        return np.array([self._n], dtype="<u8").tobytes() + each.astype("<u8").tobytes()
