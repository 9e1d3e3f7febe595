"""A mark for llama-cpp-python: ``llama(..., logits_processor=LogitsProcessorList([LlamaCppMark(mark, key)]))``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from spiritsafe.protect.marks.adapters.steps import Steps
from spiritsafe.protect.marks.embed import logit_mark, reweighed_early
from spiritsafe.protect.marks.types import Mark

if TYPE_CHECKING:
    from spiritsafe.protect.keys import MarkKey


class LlamaCppMark:
    """A logits processor of one row. It runs before temperature, so ``temperature`` must be told to it too.

    ``prompt_tokens`` is the prompt's length; None takes that of the first step.
    """

    def __init__(self, mark: Mark, key: MarkKey, *, temperature: float = 1.0, prompt_tokens: int | None = None) -> None:
        self._mark = logit_mark(mark)
        self._key = key
        self._temperature = temperature
        self._steps = Steps(prompt_tokens)

    def __call__(self, input_ids: npt.NDArray[np.intc], scores: npt.NDArray[np.single]) -> npt.NDArray[np.single]:
        """``scores`` (``[vocabulary]``) with the mark; ``input_ids`` are all ids so far, the prompt's first."""
        ids = input_ids[self._steps.start(len(input_ids)) :].tolist()
        return reweighed_early(self._mark, self._key, scores, ids, self._temperature)
