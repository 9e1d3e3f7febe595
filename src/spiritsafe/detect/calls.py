"""Exchanges as calls: when they came, and how their answers were drawn. No text, one row an exchange."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from spiritsafe.detect.types import FloatArray, HashArray, Rows
    from spiritsafe.record.exchange import Exchange

PARAMS = ("prompt_tokens", "completion_tokens", "n", "logprobs", "max_tokens", "temperature")
"""Columns of ``Calls.params``. ``logprobs``: of how many tokens a place they were asked for, 0 for none."""

_NAMES = {
    "n": ("n", "best_of", "candidate_count"),
    "logprobs": ("logprobs", "top_logprobs", "response_logprobs"),
    "max_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens"),
    "temperature": ("temperature",),
}
"""What the APIs call them; the largest value counts."""

MOST = 1e9


@dataclass(frozen=True, eq=False)
class Calls:
    """``seconds`` [n] since 1970, NaN where unknown; ``digest`` [n] of the prompt's very text, 0 where none is kept;
    ``params`` [n, len(PARAMS)] as float32, NaN where the log doesn't say.
    """

    seconds: FloatArray
    digest: HashArray
    params: Rows

    def __len__(self) -> int:
        return len(self.seconds)

    def param(self, name: str) -> Rows:
        """One column of ``params`` [n]."""
        return np.asarray(self.params[:, PARAMS.index(name)], dtype=np.float32)


def params_of(exchange: Exchange) -> list[float]:
    """The row of ``Calls.params`` of one exchange."""
    given = exchange.params
    said = {name: max((plain(given.get(key)) for key in keys), key=_known) for name, keys in _NAMES.items()}
    said |= {"prompt_tokens": plain(exchange.prompt_tokens), "completion_tokens": plain(exchange.completion_tokens)}
    return [said[name] for name in PARAMS]


def plain(value: Any) -> float:
    """A number from 0 to a billion, or yes and no as 1 and 0; NaN for anything else."""
    number = float(value) if isinstance(value, bool | int | float) and abs(value) <= MOST else math.nan
    return number if number >= 0.0 else math.nan


def _known(value: float) -> float:
    return -1.0 if math.isnan(value) else value
