"""What the device can do: the precision it computes in, and how many multiplications a second at the most."""

from __future__ import annotations

import time
from typing import Literal

import torch
from accelerate import PartialState
from torch import nn
from transformers import PreTrainedModel

from spiritsafe.distill.student import body, head_of
from spiritsafe.teach.huggingface import native_bfloat16

Precision = Literal["auto", "float32", "bfloat16"]

SIDE, ROUNDS = 1024, 5


def processes() -> PartialState:
    """The group of processes that this one is in, of one where nothing else was started; joined at the first call."""
    # Without being told so, accelerate takes several processes on CPUs for as many of one.
    return PartialState(cpu=not torch.accelerator.is_available())


def precision_on(wanted: Precision, device: torch.device) -> Literal["float32", "bfloat16"]:
    """``auto`` is bfloat16 where the device computes in it, else float32: emulated it is several times slower."""
    if wanted != "auto":
        return wanted
    return "bfloat16" if native_bfloat16(device) else "float32"


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP a second of the fastest of a few products of two 1,024 x 1,024 matrices; draws no random number."""
    left, right = (torch.full((SIDE, SIDE), 1.0 / SIDE, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        product = left @ right
        product[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - began)
    return 2.0 * SIDE**3 / best


class Work:
    """FLOPs of training ``model``, counted over its matrix products: 2 for each weight and token forward, 2 more for
    the gradient of its input, 2 more where the weight itself is learnt. The head counts on answer tokens alone, as it
    is computed there alone; attention's products over the context are left out (Kaplan et al. 2020, section 2.1).
    """

    def __init__(self, model: PreTrainedModel) -> None:
        head = head_of(model).weight
        inside = [m.weight for m in body(model).modules() if isinstance(m, nn.Linear)]
        self._inside = float(sum(_each(w) for w in inside))
        self._head = float(_each(head))

    def of(self, tokens: int, answers: int) -> float:
        """FLOPs of one step over ``tokens``, of which ``answers`` are foretold."""
        return self._inside * tokens + self._head * answers


def _each(weight: torch.Tensor) -> int:
    return (6 if weight.requires_grad else 4) * weight.numel()
