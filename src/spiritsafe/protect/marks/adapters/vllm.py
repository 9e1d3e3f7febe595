"""Marks in vLLM: a processor a request, and what both of its engine-wide interfaces share.

    vllm serve MODEL --logits-processors spiritsafe.protect.marks.adapters.vllm_v1:MarkLogitsProcessor

or ``vllm_v2`` under its second model runner. vLLM makes the object itself, so the key comes from the environment:
SPIRITSAFE_DATA is the data folder, SPIRITSAFE_MARK the mark's name, committed beforehand. A request may name its
tenant in ``vllm_xargs``: ``{"spiritsafe_tenant": "..."}``. vLLM runs these processors before temperature; they divide
by it and multiply again, and refuse requests whose cuts (top-p, top-k, min-p) would bend a mark that is free of
distortion. Speculative decoding is not supported by the second: drafts are not in the token history.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from spiritsafe.errors import UsageError
from spiritsafe.protect.keys import Keyring, MarkKey
from spiritsafe.protect.marks.embed import logit_mark, reweighed_early
from spiritsafe.protect.marks.marker import committed
from spiritsafe.protect.marks.registry import mark as named
from spiritsafe.protect.marks.types import LogitMark, Mark

if TYPE_CHECKING:
    from torch import Tensor

TENANT = "spiritsafe_tenant"


class Params(Protocol):
    """What is read of vLLM's ``SamplingParams``."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    extra_args: dict[str, object] | None


@dataclass(frozen=True, slots=True)
class Request:
    """How one request's rows are marked."""

    key: MarkKey
    temperature: float


def per_request(mark: Mark, key: MarkKey, temperature: float = 1.0) -> Callable[[list[int], list[int], Tensor], Tensor]:
    """vLLM's older interface, a function of (prompt ids, output ids, one row of logits): one for each request."""
    settings = Settings(logit_mark(mark), None, key)
    request = Request(key, temperature)

    def process(prompt_ids: list[int], output_ids: list[int], logits: Tensor) -> Tensor:
        return settings.row(request, output_ids, logits)

    return process


class Settings:
    """The mark, and the key of each tenant."""

    def __init__(self, mark: LogitMark, keyring: Keyring | None, key: MarkKey) -> None:
        self.mark = mark
        self._keyring = keyring
        self._keys: dict[str | None, MarkKey] = {None: key}

    @classmethod
    def of_environment(cls) -> Settings:
        """What SPIRITSAFE_DATA and SPIRITSAFE_MARK say. Raises ``UsageError`` where they are missing or wrong."""
        data, name = os.environ.get("SPIRITSAFE_DATA"), os.environ.get("SPIRITSAFE_MARK")
        if not data or not name:
            raise UsageError("vLLM is to mark answers and knows no key", remedy="Set SPIRITSAFE_DATA, SPIRITSAFE_MARK.")
        keyring = Keyring(Path(data))
        return cls(logit_mark(named(name)), keyring, committed(keyring, name))

    def request(self, params: Params) -> Request:
        """How the rows of a request with ``params`` are marked."""
        tenant = (params.extra_args or {}).get(TENANT)
        name = tenant if isinstance(tenant, str) else None
        if name not in self._keys:
            assert self._keyring is not None
            self._keys[name] = self._keyring.key(self._keys[None].epoch, name)
        return Request(self._keys[name], params.temperature)

    def row(self, request: Request, output_ids: Sequence[int], logits: Tensor) -> Tensor:
        """One row with the mark. Ids below 0 stand for tokens that vLLM doesn't know yet: nothing is marked then."""
        import torch  # noqa: PLC0415 - a mark is looked up and detected without torch

        if any(each < 0 for each in output_ids[-self.mark.k :]):
            return logits
        row = logits.detach().float().cpu().numpy()
        out = reweighed_early(self.mark, request.key, row, output_ids, request.temperature)
        return logits if out is row else torch.from_numpy(out).to(device=logits.device, dtype=logits.dtype)


def validate(params: Params) -> None:
    """Raise ``ValueError`` for a request that can't be marked as asked; part of vLLM's contract."""
    settings = Settings.of_environment()
    cuts = params.top_p < 1 or params.top_k > 0 or params.min_p > 0
    if settings.mark.stage == "warped" and cuts:
        raise ValueError(f"{settings.mark.name} is drawn from the whole distribution: leave out top_p, top_k and min_p")
    tenant = (params.extra_args or {}).get(TENANT)
    if tenant is not None and not isinstance(tenant, str):
        raise ValueError(f"{TENANT} is a string")
