from __future__ import annotations

import pytest
import torch

from spiritsafe.distill.device import Work, matmul_peak, precision_on

CPU = torch.device("cpu")


def test_auto_is_what_the_device_computes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert precision_on("auto", CPU) == "float32"
    assert precision_on("bfloat16", CPU) == "bfloat16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert precision_on("auto", CPU) == "bfloat16"
    assert precision_on("auto", torch.device("cuda")) == "bfloat16"


def test_the_peak_is_a_speed_and_draws_nothing() -> None:
    before = torch.get_rng_state()
    assert 1e8 < matmul_peak(CPU, torch.float32) < 1e16
    assert torch.equal(before, torch.get_rng_state())


def test_work_counts_products_and_the_head_on_answers_alone(small_model) -> None:
    inside = 4 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64)  # q and o, k and v, gate and up and down
    head = 400 * 32
    assert Work(small_model).of(10, 3) == 6 * (10 * inside + 3 * head)
    for block in small_model.model.layers:
        block.requires_grad_(False)
    assert Work(small_model).of(10, 3) == 4 * 10 * inside + 6 * 3 * head
