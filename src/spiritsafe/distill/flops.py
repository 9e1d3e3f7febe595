"""FLOPs by formula: 2 for each parameter and token read forward, 4 more for each that is learnt from.

Parameters are the active ones. Attention over the context is left out, as in Kaplan et al. 2020, section 2.1: the
formulae are lower bounds, close where the width is large against the context.
"""

from __future__ import annotations

FORWARD = 2.0
TRAIN = 6.0
OPTIMAL_TOKENS = 20.0  # a parameter, for a model trained from nothing (Hoffmann et al. 2022, "Chinchilla", table 3)


def forward(params: float, tokens: float) -> float:
    """Reading or writing ``tokens`` with a model."""
    return FORWARD * params * tokens


def pretrain(params: float, tokens: float) -> float:
    """Training on ``tokens``: forward and backward."""
    return TRAIN * params * tokens


def from_nothing(params: float) -> float:
    """Training the same student from nothing on as many tokens as pay for its size."""
    return pretrain(params, OPTIMAL_TOKENS * params)
