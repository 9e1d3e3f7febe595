"""Gumbel-max: the keyed lanes are the randomness of the draw itself.

Source: Aaronson (2022), "Watermarking of large language models"; the Gamma tail over deduplicated tokens after
Fernandez et al. (2023), "Three bricks to consolidate watermarks for large language models".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spiritsafe.protect.marks.types import Stage, Unit
from spiritsafe.protect.prf import Bits, Lanes
from spiritsafe.stats import gamma_upper
from spiritsafe.stats.types import FloatArray

RANGE = 2.0**32


class Gumbel(NamedTuple):
    """The token with the largest log-probability plus Gumbel noise is drawn, the noise made from its lane.

    Free of distortion a token: the key being random, each has its own probability. But a context that comes again
    gives the same token again, so the draw is left alone where an answer has met the context before, and the same
    question put twice tends to get the same answer.
    """

    k: int
    bits: Bits = 32
    unit: Unit = "tokens"
    stage: Stage = "warped"
    distortion_free: bool = True
    mean: float = 1.0
    sd: float = 1.0
    distribution: str = "gamma, scale 1"

    @property
    def name(self) -> str:
        return f"gumbel-k{self.k}"

    def score(self, lanes: Lanes) -> FloatArray:
        """-ln(1 - u), u the lane as a number in [0, 1) rounded down: never above a unit exponential."""
        return -np.log1p(-lanes.astype(np.float64) / RANGE)

    def log10_tail(self, total: float, n: int) -> float:
        return gamma_upper(total, n) if total > 0.0 else 0.0

    def cumulant(self, t: FloatArray) -> FloatArray:
        # A unit exponential's; below 0, where rounding the score down raises it, by what rounding can do at most.
        below = np.log(1.0 / (1.0 - np.minimum(t, 0.0)) + 1.0 / RANGE)
        above = -np.log1p(-np.clip(t, 0.0, 1.0 - 1e-12))
        return np.where(t < 0.0, below, np.where(t < 1.0, above, np.inf))

    def reweigh(self, logits: npt.NDArray[np.float32], lanes: Lanes) -> npt.NDArray[np.float32]:
        """Every token but the winner at -inf."""
        noise = -np.log(-np.log((lanes.astype(np.float64) + 0.5) / RANGE))
        out = np.full_like(logits, -np.inf)
        out[int(np.argmax(logits + noise))] = 0.0
        return out
