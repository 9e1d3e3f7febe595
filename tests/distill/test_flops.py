from __future__ import annotations

import pytest

from spiritsafe.distill.flops import forward, from_nothing, pretrain

S, D = 99e6, 1e6


def test_forward_is_a_third_of_training():
    assert pretrain(S, D) == 3 * forward(S, D)


def test_from_nothing_takes_twenty_tokens_a_parameter():
    assert from_nothing(S) == pytest.approx(120 * S * S)
