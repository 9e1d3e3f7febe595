"""A mark for ``generate`` of transformers: ``model.generate(..., logits_processor=[TransformersMark(mark, key)])``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.protect.marks.adapters.steps import Steps
from spiritsafe.protect.marks.embed import logit_mark, reweighed_early
from spiritsafe.protect.marks.types import Mark

if TYPE_CHECKING:
    from torch import Tensor

    from spiritsafe.protect.keys import MarkKey


class TransformersMark:
    """A logits processor. transformers applies it before temperature, so ``temperature`` must be told to it too.

    ``prompt_tokens`` is the (padded) length of the prompts; None takes that of the first step.
    """

    def __init__(self, mark: Mark, key: MarkKey, *, temperature: float = 1.0, prompt_tokens: int | None = None) -> None:
        self._mark = logit_mark(mark)
        self._key = key
        self._temperature = temperature
        self._steps = Steps(prompt_tokens)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """``scores`` (``[rows, vocabulary]``) with the mark; ``input_ids`` are ``[rows, length]``."""
        import torch  # noqa: PLC0415 - a mark is looked up and detected without torch

        start = self._steps.start(int(input_ids.shape[1]))
        rows = scores.detach().float().cpu().numpy()
        marked = [
            torch.from_numpy(reweighed_early(self._mark, self._key, row, ids, self._temperature))
            for row, ids in zip(rows, input_ids[:, start:].tolist(), strict=True)
        ]
        return torch.stack(marked).to(device=scores.device, dtype=scores.dtype)
