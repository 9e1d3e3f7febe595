"""How the asking is phrased: the share of an account's distinct prompts that are worded to elicit training material."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from spiritsafe.detect.account import sorts
from spiritsafe.detect.account.mix import Mix
from spiritsafe.detect.account.sorts import sorts_of
from spiritsafe.detect.account.standing import Counted, Standing
from spiritsafe.detect.account.sums import Sums
from spiritsafe.detect.types import Measured
from spiritsafe.errors import InputError
from spiritsafe.record.sketch import NGRAM_BITS, SKETCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spiritsafe.detect.types import Family, FloatArray, IntArray, Peers, Rows, Tracker
    from spiritsafe.record.sketch import Counts, Part, SketchColumns

WEIGHTS = Path(__file__).parent / "data" / "elicitation.npz"
CHANCE = "elicitation"
_LEAST = 0.02


class Elicitation(Mix):
    """A linear model over hashed word n-grams gives each prompt a chance of being worded so; their mean is the share.

    Only what users send is read: a system prompt is never scored, however often its sentence comes with an exchange.
    The statistic is by how many deviations that share is above that of the peers that ask for the same sorts of things
    (evaluations are worded like this too), a window's own noise among them, so that few prompts say little. Without
    peers it stands for itself.
    """

    name = "elicitation"
    version = 2
    family: Family = "phrased"
    null = "this account words its prompts as honest tenants do that ask for the same sorts of things"
    parts: frozenset[Part] = frozenset({"ngrams", "embedding"})
    weight = 3.0
    clears = "a product that needs reasoning, grades or records in its answers would clear it"

    def features(self, sketches: SketchColumns) -> Rows:
        """The chance of each text, in [0, 1], and its sorts [n, 1 + sorts]."""
        return np.concatenate([chances(sketches)[:, None], sorts_of(sketches)], axis=1)

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing."""
        return Sums(1 + len(sorts.model().names))

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Effect: the share of prompts worded so."""
        mine, theirs = Counted.of(windows), Counted.of(peers.rows)
        stands = Standing.of(mine.sums, theirs.sums, left_out)
        statistic = stands.share_above(mine.share, theirs.share[stands.kept], _LEAST)
        return Measured(statistic, mine.share, stands.windows.n.astype(np.int64))

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""
        return (
            f"{effect:.0%} of its {n} distinct prompts are worded to elicit training material"
            " (reasoning laid open, rubric grades, invented tasks, records to train on)"
        )


@dataclass(frozen=True, eq=False)
class Model:
    """A linear model over n-gram buckets: log-odds that a prompt elicits training material. ``sketch`` names the
    sketch whose buckets these are.
    """

    ids: NDArray[np.uint16]
    weights: NDArray[np.float32]
    intercept: float
    sketch: str

    def save(self, path: Path) -> None:
        """Write the model as one small file."""
        np.savez_compressed(
            path, ids=self.ids, weights=self.weights, intercept=np.float64(self.intercept), sketch=np.str_(self.sketch)
        )


def matrix(counts: Counts) -> sparse.csr_array:
    """Which buckets occur in each text: [texts, 2**bits], scaled so that a long text says no more than a short one."""
    sizes = np.diff(counts.starts)
    values = np.repeat(scale(sizes), sizes)
    return sparse.csr_array((values, counts.ids.astype(np.int32), counts.starts), shape=(len(sizes), 1 << NGRAM_BITS))


def scale(sizes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Weight of one n-gram in a text of so many distinct ones: 1 up to 40, then falling as the square root."""
    return np.sqrt(40.0 / np.maximum(sizes, 40)).astype(np.float32)


def chances(sketches: SketchColumns) -> NDArray[np.float32]:
    """The model's chance for each text."""
    if CHANCE not in sketches.derived:
        assert sketches.ngrams is not None
        dense, intercept = _model()
        odds = np.asarray(matrix(sketches.ngrams) @ dense, dtype=np.float64) + intercept
        chance = 1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0)))
        sketches.derived[CHANCE] = chance.astype(np.float32)
    return sketches.derived[CHANCE]


@functools.cache
def _model() -> tuple[FloatArray, float]:
    """The shipped weights as one dense row, and the intercept."""
    with np.load(WEIGHTS) as stored:
        model = Model(stored["ids"], stored["weights"], float(stored["intercept"]), str(stored["sketch"]))
    if model.sketch != SKETCH:
        raise InputError(
            f"the elicitation weights were trained on sketches {model.sketch!r}, this version makes {SKETCH!r}",
            remedy="Train them again: python -m spiritsafe.detect.account.elicitation_train",
            where=str(WEIGHTS),
        )
    dense = np.zeros(1 << NGRAM_BITS)
    dense[model.ids] = model.weights
    return dense, model.intercept
