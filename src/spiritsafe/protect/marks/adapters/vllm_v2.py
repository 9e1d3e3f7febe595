"""vLLM's second engine-wide interface: state by request slot, token history in the runner's own buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm.v1.worker.gpu.sample.logits_processor import (  # type: ignore[import-not-found, unused-ignore]
    LogitsProcessor,
)

from spiritsafe.protect.marks.adapters.vllm import Params, Request, Settings, validate

if TYPE_CHECKING:
    from torch import Tensor


class MarkLogitsProcessor(LogitsProcessor):  # type: ignore[misc, unused-ignore]
    """Marks every row of the slots it was given. Rows of one request that draw drafts are refused."""

    def __init__(self, vllm_config: Any, req_states: Any) -> None:
        self._settings = Settings.of_environment()
        self._states = req_states
        self._slots: dict[int, Request] = {}

    @classmethod
    def validate_params(cls, sampling_params: Params) -> None:
        """See ``adapters.vllm.validate``."""
        validate(sampling_params)

    def add_request(self, req_idx: int, sampling_params: Params) -> bool:
        """Take over a slot, whoever had it before."""
        self._slots[req_idx] = self._settings.request(sampling_params)
        return True

    def apply(self, logits: Tensor, ctx: Any) -> Tensor:
        """``logits`` (``[rows, vocabulary]``), changed in place: row i draws the token after position ``pos[i]``."""
        slots, ends = ctx.expanded_idx_mapping.tolist(), (ctx.pos + 1).tolist()
        if any(ctx.expanded_local_pos.tolist()):
            raise RuntimeError("marks do not go with speculative decoding: switch it off")
        for row, (slot, end) in enumerate(zip(slots, ends, strict=True)):
            request = self._slots.get(slot)
            if request is not None:
                start = int(self._states.prompt_len.np[slot])
                output_ids = self._states.all_token_ids.gpu[slot, start:end].tolist()
                logits[row] = self._settings.row(request, output_ids, logits[row])
        return logits
