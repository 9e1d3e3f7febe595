from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from spiritsafe.distill import student
from spiritsafe.errors import InputError, UsageError

IDS = torch.arange(60).reshape(2, 30)


def test_a_block_that_does_nothing_has_no_influence(small_model: LlamaForCausalLM) -> None:
    with torch.no_grad():
        for weight in small_model.model.layers[2].parameters():
            weight.zero_()
    influence = student.block_influence(small_model, [IDS])
    assert abs(influence[2]) < 1e-6
    assert all(influence[i] > 1e-4 for i in (0, 1, 3))
    assert student.most_influential(influence, 3) == [0, 1, 3]


def test_influence_is_a_mean_over_tokens_however_they_are_batched(small_model: LlamaForCausalLM) -> None:
    together = student.block_influence(small_model, [IDS])
    apart = student.block_influence(small_model, [IDS[:1], IDS[1:]])
    assert together == pytest.approx(apart, abs=1e-6)


def test_a_pruned_student_computes_what_the_kept_blocks_compute(small_model: LlamaForCausalLM) -> None:
    pruned = student.prune_layers(small_model, [0, 2, 3])
    del small_model.model.layers[1]
    for i, layer in enumerate(small_model.model.layers):
        layer.self_attn.layer_idx = i
    small_model.config.num_hidden_layers = 3
    with torch.no_grad():
        assert torch.equal(pruned(input_ids=IDS).logits, small_model(input_ids=IDS).logits)
    assert pruned.config.num_hidden_layers == 3


def test_pruning_leaves_the_teacher_as_it_was(small_model: LlamaForCausalLM) -> None:
    before = {n: v.clone() for n, v in small_model.state_dict().items()}
    pruned = student.prune_layers(small_model, [0, 3])
    with torch.no_grad():
        for weight in pruned.parameters():
            weight.add_(1.0)
    assert all(torch.equal(v, before[n]) for n, v in small_model.state_dict().items())


@pytest.mark.parametrize("keep", [[], [1, 0], [0, 0], [0, 4], [-1, 2]])
def test_layers_that_cannot_be_kept_are_refused(small_model: LlamaForCausalLM, keep: list[int]) -> None:
    with pytest.raises(UsageError, match="rising numbers from 0 to 3"):
        student.prune_layers(small_model, keep)


@pytest.mark.parametrize("count", [0, 5])
def test_more_layers_than_there_are_cannot_be_asked_for(count: int) -> None:
    with pytest.raises(UsageError, match="the teacher has 4 layers"):
        student.most_influential([0.1, 0.4, 0.2, 0.3], count)


def test_kept_tokens_keep_their_logits(small_model: LlamaForCausalLM) -> None:
    kept = [0, 1, *range(5, 300, 3)]
    small = student.keep_tokens(small_model, kept)
    new = torch.tensor([[2, 3, 50, 60]])
    old = torch.tensor([[kept[i] for i in new[0]]])
    with torch.no_grad():
        torch.testing.assert_close(small(input_ids=new).logits, small_model(input_ids=old).logits[..., kept])
    assert small.config.vocab_size == len(kept)
    assert student.parameters(small) == student.parameters(small_model) - (400 - len(kept)) * 32


def test_the_same_seed_gives_the_same_fresh_student(tmp_path: Path, small_model: LlamaForCausalLM) -> None:
    (tmp_path / "config.json").write_text(json.dumps(small_model.config.to_dict()))
    a, b, c = (student.fresh_model(tmp_path / "config.json", torch.float32, seed) for seed in (1, 1, 2))
    assert torch.equal(student.head_of(a).weight, student.head_of(b).weight)
    assert not torch.equal(student.head_of(a).weight, student.head_of(c).weight)


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        student.load_model(tmp_path, torch.float32)


def test_a_model_is_read_back_from_its_folder(model_folder: Path, small_model: LlamaForCausalLM) -> None:
    read = student.load_model(model_folder, torch.float32)
    with torch.no_grad():
        assert torch.equal(read(input_ids=IDS).logits, small_model(input_ids=IDS).logits)
