"""On-policy steps: the student answers, the teacher will score what it wrote (Agarwal et al. 2024, GKD, section 3)."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from spiritsafe.distill.batches import Example
from spiritsafe.distill.recipe import Train


class OnPolicy:
    """Replaces the answers of a step's examples by the student's own, drawn at ``train.temperature``.

    What is drawn depends on the weights, the seed and the step alone. Such an example has no offsets: only a teacher
    with the same tokens can score it.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: Any, section: Train) -> None:
        self._model = model
        self._end = tokenizer.eos_token_id
        self._section = section

    @torch.no_grad()
    def __call__(self, chosen: list[Example], step: int) -> list[Example]:
        width = max(e.start for e in chosen)
        ids = torch.full((len(chosen), width), self._end, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, example in enumerate(chosen):
            ids[i, width - example.start :] = torch.tensor(example.ids[: example.start])
            mask[i, width - example.start :] = 1
        device = self._model.device
        training = self._model.training
        torch.nn.Module.eval(self._model)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed((self._section.seed << 32) + step)
            out = self._model.generate(  # type: ignore[operator]
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                max_new_tokens=max(1, self._section.max_length - width),
                do_sample=True,
                temperature=self._section.temperature,
                top_p=None,
                top_k=None,
                pad_token_id=self._end,
                eos_token_id=self._end,
            )
        self._model.train(training)
        written = out[:, width:].tolist()
        return [self._example(e, drawn) for e, drawn in zip(chosen, written, strict=True)]

    def _example(self, example: Example, drawn: list[int]) -> Example:
        """The prompt with what was drawn, up to and with the first end token."""
        if self._end in drawn:
            drawn = drawn[: drawn.index(self._end) + 1]
        return Example(example.key, [*example.ids[: example.start], *drawn], example.start, [])
