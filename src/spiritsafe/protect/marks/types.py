"""What a mark is: a rule that turns keyed random lanes into a nudge when drawing, and into a score when reading."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from spiritsafe.protect.prf import Bits, Lanes
from spiritsafe.stats.types import FloatArray

Unit = Literal["tokens", "words"]
Stage = Literal["logits", "warped"]
"""Where a mark belongs among temperature and top-p: before them or after."""


@runtime_checkable
class Mark(Protocol):
    """A scheme with its parameters; ``name`` records every one of them, and ``mark(name)`` gives it back.

    The null of every mark: the text was written without regard to the key. Then the lanes of distinct n-grams are
    independent and uniform (``prf``), so ``score`` of each has ``mean`` and ``sd``, and the sum over ``n`` of them
    exceeds ``total`` with a chance of at most ten to the ``log10_tail``: exact, no approximation by a normal.
    ``cumulant(t)`` is at least ln E exp(t score), ``inf`` where there is none: for weighted sums. Scores rise with
    the mark. ``k`` is the length of the context in units of ``unit``.
    """

    @property
    def name(self) -> str: ...
    @property
    def k(self) -> int: ...
    @property
    def bits(self) -> Bits: ...
    @property
    def unit(self) -> Unit: ...
    @property
    def mean(self) -> float: ...
    @property
    def sd(self) -> float: ...
    @property
    def distribution(self) -> str: ...

    def score(self, lanes: Lanes) -> FloatArray: ...

    def log10_tail(self, total: float, n: int) -> float: ...

    def cumulant(self, t: FloatArray) -> FloatArray: ...


@runtime_checkable
class LogitMark(Mark, Protocol):
    """A mark that reaches the logits of every step.

    ``reweigh`` gets one row of logits (float32, ``[vocabulary]``) and the lanes of all tokens after the context,
    and returns the row to draw from; its argument is left alone. ``distortion_free`` says that, the key being
    random, the token drawn has the distribution it would have had.
    """

    @property
    def stage(self) -> Stage: ...
    @property
    def distortion_free(self) -> bool: ...

    def reweigh(self, logits: npt.NDArray[np.float32], lanes: Lanes) -> npt.NDArray[np.float32]: ...


@runtime_checkable
class ChoiceMark(Mark, Protocol):
    """A mark made by choosing among ``candidates`` whole answers, for a teacher whose logits we don't have."""

    @property
    def candidates(self) -> int: ...
