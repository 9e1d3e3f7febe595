from __future__ import annotations

import pytest

from spiritsafe.distill.flops import cached, forward, from_nothing, on_policy, online, pretrain

S, T, D = 99e6, 135e6, 1e6


def test_distilling_from_a_cache_reads_the_teacher_once_however_many_epochs():
    assert cached(S, T, D, epochs=3) == 3 * 6 * S * D + 2 * T * D


def test_a_live_teacher_reads_every_token():
    assert online(S, T, D) == (6 * S + 2 * T) * D


def test_on_policy_the_student_writes_too():
    assert on_policy(S, T, D) == (8 * S + 2 * T) * D


def test_forward_is_a_third_of_training():
    assert pretrain(S, D) == 3 * forward(S, D)


def test_a_cached_epoch_is_dearer_than_none_and_cheaper_than_live_from_the_second_on():
    assert cached(S, T, D, 1) == online(S, T, D)
    assert cached(S, T, D, 2) < online(S, T, 2 * D)


def test_from_nothing_takes_twenty_tokens_a_parameter():
    assert from_nothing(S) == pytest.approx(120 * S * S)
