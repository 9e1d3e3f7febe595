"""A mark among a teacher's processors, and the rule by which every adapter applies it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from spiritsafe.errors import UsageError
from spiritsafe.protect import prf
from spiritsafe.protect.marks.types import LogitMark, Mark, Stage
from spiritsafe.teach.types import Context

if TYPE_CHECKING:
    from torch import Tensor

    from spiritsafe.protect.keys import MarkKey


def is_marked(mark: Mark, generated: Sequence[int]) -> bool:
    """Whether the next token of an answer, of which ``generated`` are the tokens so far, is drawn with the mark.

    Not the first ``k``: their context lies in the prompt, which whoever reads the answer need not have. Nor, for a
    mark that is free of distortion, where the answer has met the same context before: the same lanes twice would
    no longer be free of it, and a text would run in circles.
    """
    k = mark.k
    if len(generated) < k:
        return False
    if not (isinstance(mark, LogitMark) and mark.distortion_free) or len(generated) == k:
        return True
    met = np.lib.stride_tricks.sliding_window_view(np.asarray(generated, dtype=np.int64), k)
    return not bool((met[:-1] == met[-1]).all(axis=1).any())


def reweighed(
    mark: LogitMark, key: MarkKey, logits: npt.NDArray[np.float32], generated: Sequence[int]
) -> npt.NDArray[np.float32]:
    """The row to draw the next token from; ``logits`` itself where the mark is not applied."""
    if not is_marked(mark, generated):
        return logits
    context = generated[len(generated) - mark.k :]
    return mark.reweigh(logits, prf.lanes_of_vocabulary(key.sip, context, logits.shape[0], mark.bits))


def reweighed_early(
    mark: LogitMark, key: MarkKey, logits: npt.NDArray[np.float32], generated: Sequence[int], temperature: float
) -> npt.NDArray[np.float32]:
    """``reweighed`` for a server that applies temperature afterwards: a mark that belongs after it is given it now.

    At temperature 0 such a mark has nothing to do. What the server cuts off afterwards (top-p, top-k, min-p) is cut
    from the marked distribution: with a mark that is free of distortion, ask for none of them.
    """
    if mark.stage == "logits":
        return reweighed(mark, key, logits, generated)
    if temperature == 0.0 or not is_marked(mark, generated):
        return logits
    scale = np.float32(temperature)
    return reweighed(mark, key, logits / scale, generated) * scale


def logit_mark(mark: Mark) -> LogitMark:
    """``mark`` as one that reaches logits. Raises ``UsageError`` if it doesn't."""
    if not isinstance(mark, LogitMark):
        raise UsageError(
            f"{mark.name} chooses among whole answers and has no logits to change",
            remedy="Use kgw, gumbel or tournament here, or serve the teacher by spiritsafe teach serve --mark.",
        )
    return mark


class MarkProcessor:
    """A ``teach`` processor: pure, so an answer does not depend on its neighbours in a batch."""

    def __init__(self, mark: Mark, key: MarkKey) -> None:
        self._mark = logit_mark(mark)
        self._key = key
        self.stage: Stage = self._mark.stage

    def __call__(self, logits: Tensor, context: Context) -> Tensor:
        """One row of logits with the mark."""
        import torch  # noqa: PLC0415 - a mark is looked up and detected without torch

        row = logits.detach().cpu().numpy()
        out = reweighed(self._mark, self._key, row, context.generated)
        return logits if out is row else torch.from_numpy(out).to(logits.device)
