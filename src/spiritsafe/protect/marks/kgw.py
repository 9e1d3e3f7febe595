"""Green lists: a random share of tokens, drawn anew for each context, is made likelier.

Source: Kirchenbauer et al. (2023), "A watermark for large language models"; deduplicated counts and exact binomial
tails after Fernandez et al. (2023), "Three bricks to consolidate watermarks for large language models".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spiritsafe.protect.marks.types import Stage, Unit
from spiritsafe.protect.prf import Bits, Lanes
from spiritsafe.stats import binomial_upper
from spiritsafe.stats.types import FloatArray

LEVELS = 256


class Kgw(NamedTuple):
    """A token is green when its lane is below ``greens`` of 256; ``delta`` (nats) is added to green logits.

    It distorts: text quality falls as ``delta`` rises.
    """

    k: int
    greens: int
    delta: float
    bits: Bits = 8
    unit: Unit = "tokens"
    stage: Stage = "logits"
    distortion_free: bool = False

    @property
    def name(self) -> str:
        return f"kgw-k{self.k}-g{self.mean:.10g}-d{self.delta:.10g}"

    @property
    def mean(self) -> float:
        return self.greens / LEVELS

    @property
    def sd(self) -> float:
        return float(np.sqrt(self.mean * (1.0 - self.mean)))

    @property
    def distribution(self) -> str:
        return f"binomial, chance {self.mean:g}"

    def score(self, lanes: Lanes) -> FloatArray:
        """1 for green, 0 for red."""
        return (lanes < self.greens).astype(np.float64)

    def log10_tail(self, total: float, n: int) -> float:
        return binomial_upper(round(total), n, self.mean)

    def cumulant(self, t: FloatArray) -> FloatArray:
        return np.asarray(np.logaddexp(np.log1p(-self.mean), np.log(self.mean) + t))

    def reweigh(self, logits: npt.NDArray[np.float32], lanes: Lanes) -> npt.NDArray[np.float32]:
        return logits + np.float32(self.delta) * (lanes < self.greens).astype(np.float32)
