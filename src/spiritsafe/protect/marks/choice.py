"""Choosing among whole answers: a mark for a teacher whose logits we don't have.

The teacher answers ``candidates`` times; the answer whose words score highest under the key is served. Every served
answer is one that the teacher gave by itself. The best of n fair scores stands about 1.03 (n = 4) or 1.42 (n = 8)
standard deviations above the mean, whatever its length: long answers hold more marked signal only when cut apart.
Source: a mark by rejection sampling in the manner of Kuditipudi et al. (2024), section 2, with the null of ``kgw``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spiritsafe.protect import prf
from spiritsafe.protect.marks import ngrams
from spiritsafe.protect.marks.types import ChoiceMark, Unit
from spiritsafe.protect.prf import Bits, Lanes
from spiritsafe.stats import binomial_upper
from spiritsafe.stats.types import FloatArray


class Choice(NamedTuple):
    """Scores word n-grams with ``k`` words of context by one fair bit each: no tokenizer has a part in it."""

    candidates: int
    k: int
    bits: Bits = 8
    unit: Unit = "words"
    mean: float = 0.5
    sd: float = 0.5
    distribution: str = "binomial, chance 0.5"

    @property
    def name(self) -> str:
        return f"choice-n{self.candidates}-k{self.k}"

    def score(self, lanes: Lanes) -> FloatArray:
        """The lowest bit of the lane."""
        return (lanes & np.uint32(1)).astype(np.float64)

    def log10_tail(self, total: float, n: int) -> float:
        return binomial_upper(round(total), n, 0.5)

    def cumulant(self, t: FloatArray) -> FloatArray:
        return np.asarray(np.logaddexp(0.0, t) - np.log(2.0))


def choose(mark: ChoiceMark, key: prf.SipKey, answers: Sequence[str]) -> int:
    """Which of the answers to serve: the one whose distinct n-grams stand furthest above the null, in its own sds."""
    return int(np.argmax([_height(mark, key, answer) for answer in answers]))


def _height(mark: ChoiceMark, key: prf.SipKey, answer: str) -> float:
    rows = ngrams.distinct(ngrams.ngrams([ngrams.words(answer)], mark.k))
    if rows.shape[0] == 0:
        return 0.0
    scores = mark.score(prf.lanes(key, rows, mark.bits))
    return float((scores.sum() - mark.mean * scores.size) / (mark.sd * np.sqrt(scores.size)))
