"""vLLM's first engine-wide interface: told of requests that come, go and move, then handed the whole batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm.v1.sample.logits_processor import LogitsProcessor  # type: ignore[import-not-found, unused-ignore]

from spiritsafe.protect.marks.adapters.vllm import Params, Request, Settings, validate

if TYPE_CHECKING:
    from torch import Tensor


class MarkLogitsProcessor(LogitsProcessor):  # type: ignore[misc, unused-ignore]
    """Marks every row. The lists of output ids are vLLM's own and grow under our hands, as its contract says."""

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        self._settings = Settings.of_environment()
        self._rows: dict[int, tuple[Request, list[int]]] = {}

    @classmethod
    def validate_params(cls, sampling_params: Params) -> None:
        """See ``adapters.vllm.validate``."""
        validate(sampling_params)

    def is_argmax_invariant(self) -> bool:
        """A mark changes which token is likeliest."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Removed, then added, then moved: the order that vLLM asks for."""
        if batch_update is None:
            return
        for index in batch_update.removed:
            self._rows.pop(index, None)
        for index, params, _, output_ids in batch_update.added:
            self._rows[index] = (self._settings.request(params), output_ids)
        for source, target, direction in batch_update.moved:
            moved, other = self._rows.pop(source, None), self._rows.pop(target, None)
            if moved is not None:
                self._rows[target] = moved
            if other is not None and direction.name == "SWAP":
                self._rows[source] = other

    def apply(self, logits: Tensor) -> Tensor:
        """``logits`` (``[requests, vocabulary]``), changed in place."""
        for index, (request, output_ids) in self._rows.items():
            logits[index] = self._settings.row(request, output_ids, logits[index])
        return logits
