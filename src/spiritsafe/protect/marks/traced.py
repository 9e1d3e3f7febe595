"""Green lists that also say for whom: each n-gram has a position in a code, and a tenant's bit there picks its list.

The top 8 bits of a lane say which list an n-gram is on (that of bit 0, that of bit 1, or neither), the others at which
position of the code (``tracing``). Positions go by n-grams, not by contexts: a language's few commonest words are the
context of half of all text, and would be half of the code. Read without regard to tenants, a token scores when it is on
either list: the mark for all tenants together, at the price of an eighth of a green list's signal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spiritsafe.protect.marks.kgw import LEVELS
from spiritsafe.protect.marks.types import Stage, Unit
from spiritsafe.protect.prf import Bits, Lanes
from spiritsafe.stats import binomial_upper
from spiritsafe.stats.types import BoolArray, FloatArray, IntArray

SHORTEST_CODE, LONGEST_CODE = 32, 4096


class Traced(NamedTuple):
    """``greens`` of 256 n-grams are on the list of bit 0, as many on that of bit 1; ``m`` bits of code.

    ``delta`` (nats) is added to the logits of a list.
    """

    k: int
    greens: int
    delta: float
    m: int
    bits: Bits = 32
    unit: Unit = "tokens"
    stage: Stage = "logits"
    distortion_free: bool = False

    @property
    def name(self) -> str:
        return f"traced-k{self.k}-g{self.greens / LEVELS:.10g}-d{self.delta:.10g}-m{self.m}"

    @property
    def mean(self) -> float:
        return 2.0 * self.greens / LEVELS

    @property
    def sd(self) -> float:
        return float(np.sqrt(self.mean * (1.0 - self.mean)))

    @property
    def distribution(self) -> str:
        return f"binomial, chance {self.mean:g}"

    def score(self, lanes: Lanes) -> FloatArray:
        """1 for a token on either list."""
        return np.abs(self.side(lanes))

    def side(self, lanes: Lanes) -> FloatArray:
        """-1 for a token on the list of bit 0, 1 on that of bit 1, 0 on neither."""
        level = lanes >> np.uint32(24)
        return (level >= LEVELS - self.greens).astype(np.float64) - (level < self.greens)

    def position(self, lanes: Lanes) -> IntArray:
        """The position in the code, 0 to ``m - 1``."""
        return ((lanes & np.uint32(0xFFFFFF)) % np.uint32(self.m)).astype(np.int64)

    def log10_tail(self, total: float, n: int) -> float:
        return binomial_upper(round(total), n, self.mean)

    def cumulant(self, t: FloatArray) -> FloatArray:
        return np.asarray(np.logaddexp(np.log1p(-self.mean), np.log(self.mean) + t))

    def reweigh(self, logits: npt.NDArray[np.float32], lanes: Lanes) -> npt.NDArray[np.float32]:
        """For no tenant in particular: both lists rise."""
        return np.asarray(logits + np.float32(self.delta) * self.score(lanes).astype(np.float32))

    def reweigh_for(self, logits: npt.NDArray[np.float32], lanes: Lanes, word: BoolArray) -> npt.NDArray[np.float32]:
        """For the tenant with the code word ``word`` (``[m]``): what is on the list of its bit rises."""
        listed = self.side(lanes) == np.where(word[self.position(lanes)], 1.0, -1.0)
        return np.asarray(logits + np.float32(self.delta) * listed.astype(np.float32))
