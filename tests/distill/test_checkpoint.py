from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from spiritsafe.distill import checkpoint
from spiritsafe.errors import BrokenRecord


def stepped(model: LlamaForCausalLM) -> torch.optim.AdamW:
    optimizer = torch.optim.AdamW(model.parameters())
    model(input_ids=torch.arange(20).unsqueeze(0)).logits.sum().backward()
    optimizer.step()
    return optimizer


def test_weights_optimizer_and_dice_come_back(tmp_path: Path, small_model: LlamaForCausalLM) -> None:
    optimizer = stepped(small_model)
    checkpoint.save(tmp_path, 7, small_model, optimizer, 1.5)
    saved = {n: v.clone() for n, v in small_model.state_dict().items()}
    drawn = torch.rand(3)
    stepped(small_model)
    fresh = torch.optim.AdamW(small_model.parameters())
    assert checkpoint.restore(tmp_path, small_model, fresh) == (7, 1.5)
    assert all(torch.equal(v, saved[n]) for n, v in small_model.state_dict().items())
    assert torch.equal(torch.rand(3), drawn)
    assert str(fresh.state_dict()) == str(optimizer.state_dict())


def test_the_two_newest_are_kept_and_parts_are_ignored(tmp_path: Path, small_model: LlamaForCausalLM) -> None:
    optimizer = stepped(small_model)
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, small_model, optimizer, 0.0)
    (tmp_path / "step-000009.part").write_bytes(b"half")
    assert [p.name for p in checkpoint.existing(tmp_path)] == ["step-000002.pt", "step-000003.pt"]
    assert checkpoint.restore(tmp_path, small_model, optimizer)[0] == 3


def test_no_checkpoint_means_the_beginning(tmp_path: Path, small_model: LlamaForCausalLM) -> None:
    assert checkpoint.restore(tmp_path / "none", small_model, torch.optim.AdamW(small_model.parameters())) == (0, 0.0)


def test_a_broken_checkpoint_is_named(tmp_path: Path, small_model: LlamaForCausalLM) -> None:
    optimizer = stepped(small_model)
    path = checkpoint.save(tmp_path, 1, small_model, optimizer, 0.0)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BrokenRecord, match=r"step-000001\.pt"):
        checkpoint.restore(tmp_path, small_model, optimizer)
    checkpoint.discard(tmp_path)
    assert not tmp_path.exists()
