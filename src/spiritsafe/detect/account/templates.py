"""How the asking is phrased: the share of prompts that fill the slots of a skeleton with ever new things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.account.mix import Mix
from spiritsafe.detect.account.sorts import model, sorts_of
from spiritsafe.detect.account.standing import Counted, Standing
from spiritsafe.detect.account.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import Family, HashArray, IntArray, Measured, Peers, Rows, Tracker
    from spiritsafe.record.sketch import SketchColumns

LEAST = 3
MOST_PROMPTS = 256
_BITS = 24
_MARKS = 3
_LEAST_SPREAD = 0.05


class Templates(Mix):
    """A skeleton is an opening or a closing of eight units (digits masked) that at least three prompts share whose
    rare words differ. The statistic is by how many deviations the share of prompts on a skeleton is above that of the
    peers that ask for the same sorts of things: evaluations have skeletons too.

    Bots fill their slots with the same few things again and again; who works through a corpus never does. So a prompt
    whose rare words came before on its skeleton counts once.
    """

    name = "templates"
    version = 1
    family: Family = "phrased"
    null = "this account asks in fixed forms no more than honest tenants that ask for the same sorts of things"
    clears = "a program of its own that asks in fixed forms, such as a pipeline over documents, would clear it"

    def features(self, sketches: SketchColumns) -> Rows:
        """Opening, closing and core of each text, 24 bits each, which float32 holds exactly, and its sorts."""
        mask = np.uint64((1 << _BITS) - 1)
        marks: tuple[HashArray, ...] = (sketches.opening & mask, sketches.closing & mask, sketches.core & mask)
        return np.concatenate([np.stack(marks, axis=1).astype(np.float32), sorts_of(sketches)], axis=1)

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing."""
        return _Forms(len(model().names))

    def from_state(self, state: bytes) -> Tracker:
        """The tracker whose ``state`` this was."""
        return _Forms.from_state(state, len(model().names))

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: the share of prompts on a skeleton. Unknown with too few peers."""
        mine, theirs = Counted.of(windows), Counted.of(peers.rows)
        stands = Standing.of(mine.sums, theirs.sums, left_out)
        above = stands.share_above(mine.share, theirs.share[stands.kept], _LEAST_SPREAD)
        return stands.measured(above, mine.share)

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return f"{effect:.0%} of its {n} distinct prompts fill the slots of a form that recurs, with ever new things"


class _Forms:
    """The marks of up to 256 prompts, and the sums of their sorts. Its window is
    [prompts, those on a skeleton, sorts...].
    """

    def __init__(self, sorts: int) -> None:
        self._marks = np.zeros((0, _MARKS), dtype=np.float32)
        self._sums = Sums(sorts)

    @classmethod
    def from_state(cls, state: bytes, sorts: int) -> _Forms:
        """The tracker whose ``state`` this was."""
        made = cls(sorts)
        size = 8 * (sorts + 1)
        made._sums = Sums.from_state(state[:size])
        made._marks = np.frombuffer(state[size:], dtype="<f4").reshape(-1, _MARKS)
        return made

    def learn(self, rows: Rows) -> None:
        """Take in features [n, 3 + sorts]; of more prompts than 256 those with the smallest cores are kept."""
        self._sums.learn(rows[:, _MARKS:])
        marks = np.concatenate([self._marks, rows[:, :_MARKS]])
        if len(marks) > MOST_PROMPTS:
            marks = marks[np.lexsort(marks.T)[:MOST_PROMPTS]]
        self._marks = marks

    def window(self) -> Rows:
        """[prompts, those on a skeleton, sorts...] as float32."""
        sums = self._sums.window()
        kept = max(len(self._marks), 1)
        return np.concatenate([sums[:1], [on_a_skeleton(self._marks) * sums[0] / kept], sums[1:]]).astype(np.float32)

    def state(self) -> bytes:
        """The sums, and each prompt's marks."""
        return self._sums.state() + self._marks.astype("<f4").tobytes()


def on_a_skeleton(marks: Rows) -> int:
    """How many of some prompts, given by opening, closing and core [n, 3], are on a skeleton; the same core on the same
    skeleton counts once.
    """
    counted = np.zeros(len(marks), dtype=bool)
    opening, closing, core = marks.T.astype(np.uint64)
    for edge in (opening, closing):
        # numpy.unique of whole rows takes ten times as long.
        pairs, first = np.unique(edge << np.uint64(_BITS) | core, return_index=True)
        _, form, size = np.unique(pairs >> np.uint64(_BITS), return_inverse=True, return_counts=True)
        counted[first[size[form] >= LEAST]] = True
    return int(counted.sum())
