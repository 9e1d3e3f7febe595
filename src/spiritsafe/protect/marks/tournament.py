"""Tournament sampling: tokens meet in ``m`` rounds, and in each the one with the keyed bit wins.

Source: Dathathri et al. (2024), "Scalable watermarking for identifying large language model outputs" (SynthID-Text),
two candidates a match, in the form that reweighs the whole distribution at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spiritsafe.protect.marks.types import Stage, Unit
from spiritsafe.protect.prf import Bits, Lanes
from spiritsafe.stats import binomial_upper
from spiritsafe.stats.types import FloatArray


class Tournament(NamedTuple):
    """``m`` layers, at most 32: layer i plays for bit i of the lane.

    Free of distortion a token, with the same reserve as ``Gumbel`` for contexts that come again.
    """

    m: int
    k: int
    bits: Bits = 32
    unit: Unit = "tokens"
    stage: Stage = "warped"
    distortion_free: bool = True

    @property
    def name(self) -> str:
        return f"tournament-m{self.m}-k{self.k}"

    @property
    def mean(self) -> float:
        return self.m / 2.0

    @property
    def sd(self) -> float:
        return float(np.sqrt(self.m) / 2.0)

    @property
    def distribution(self) -> str:
        return f"binomial, {self.m} bits each of chance 1/2"

    def score(self, lanes: Lanes) -> FloatArray:
        """How many of the ``m`` bits are 1."""
        return np.asarray(np.bitwise_count(lanes & np.uint32(2**self.m - 1)), dtype=np.float64)

    def log10_tail(self, total: float, n: int) -> float:
        return binomial_upper(round(total), n * self.m, 0.5)

    def cumulant(self, t: FloatArray) -> FloatArray:
        return np.asarray(self.m * (np.logaddexp(0.0, t) - np.log(2.0)))

    def reweigh(self, logits: npt.NDArray[np.float32], lanes: Lanes) -> npt.NDArray[np.float32]:
        """Log-probabilities after all rounds: p(t) becomes p(t) (1 + bit(t) - share of 1), round after round."""
        alive = np.flatnonzero(np.isfinite(logits))
        masses = np.exp(logits[alive] - logits[alive].max())
        masses /= masses.sum()
        mine = lanes[alive]
        for layer in range(self.m):
            wins = ((mine >> np.uint32(layer)) & np.uint32(1)).astype(np.float32)
            masses *= np.maximum(1.0 + wins - np.dot(masses, wins), 0.0)
        out = np.full_like(logits, -np.inf)
        with np.errstate(divide="ignore"):
            out[alive] = np.log(masses)
        return out
