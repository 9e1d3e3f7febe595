"""The one call shape of a loss, and the forms in which it takes what the teacher said.

``loss(hidden, head, teacher, *, temperature, denominator, rows_per_chunk) -> Value``. ``hidden`` is (N, H): the
student's last hidden states at the N positions that are trained on, so the head is applied nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Head:
    """The last projection of a language model: logits = cap(scale * (hidden @ weight.T + bias)).

    ``weight`` is (V, H) and ``bias`` (V,). ``scale`` multiplies the logits (Cohere, Granite: 1 / logits_scaling);
    ``softcap`` c bounds them to c * tanh(logits / c) (Gemma 2). Leaving either out for a model that has it would
    train on another distribution than the model's own.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None


@dataclass(frozen=True)
class Tokens:
    """The token that the teacher gave at each position: ``ids`` (N,), integers below V."""

    ids: torch.Tensor


@dataclass(frozen=True)
class Dense:
    """The teacher's full distribution, asked for a chunk at a time.

    ``logits(start, stop)`` gives (stop - start, ``vocabulary``) at temperature 1 for positions start to stop; it is
    called once for each position, in order, and may reuse its memory from call to call. ``-inf`` marks a token the
    teacher never says.
    """

    logits: Callable[[int, int], torch.Tensor]
    vocabulary: int


@dataclass(frozen=True)
class TopK:
    """The teacher's k likeliest tokens: ``ids`` (N, k), distinct in a row, a shorter row filled up with -1, and their
    ``logprobs`` (N, k) over the whole vocabulary at the loss's temperature. What they leave out is the tail's mass.
    """

    ids: torch.Tensor
    logprobs: torch.Tensor


@dataclass(frozen=True)
class Sampled:
    """A random sparse stand-in for the teacher's distribution whose mean is that distribution.

    ``ids`` (N, k) with ``weights`` (N, k) that sum to 1 in each row; unused places have weight 0 and any valid id.
    ``entropy`` (N,) is the teacher's own, in nats; with it the loss is a KL, without it a cross-entropy.
    """

    ids: torch.Tensor
    weights: torch.Tensor
    entropy: torch.Tensor | None = None


Teacher = Tokens | Dense | TopK | Sampled


class Value(NamedTuple):
    """``loss``: a scalar that can be differentiated, sum over positions / denominator. ``rows`` (N,): the loss of
    each position, detached, for curves and intervals.
    """

    loss: torch.Tensor
    rows: torch.Tensor


class Loss(Protocol):
    """What every file of this room offers; some take one keyword more."""

    def __call__(
        self,
        hidden: torch.Tensor,
        head: Head,
        teacher: Teacher,
        *,
        temperature: float = 1.0,
        denominator: float | None = None,
        rows_per_chunk: int | None = None,
    ) -> Value: ...
