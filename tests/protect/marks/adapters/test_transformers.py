from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from spiritsafe.protect.keys import MarkKey, key_of
from spiritsafe.protect.marks.adapters.transformers import TransformersMark
from spiritsafe.protect.marks.detect import detect
from spiritsafe.protect.marks.registry import mark

KEY: MarkKey = key_of(bytes(range(32)), "any", 1)


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("name", ["kgw-k1-g0.25-d2", "gumbel-k1", "tournament-m30-k1"])
def test_what_generate_draws_with_it_is_found_with_the_key(name: str, model: LlamaForCausalLM) -> None:
    torch.manual_seed(0)
    found = mark(name)
    prompts = torch.randint(1, 300, (6, 5))
    out = model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        do_sample=True,
        temperature=0.8,
        top_k=0,
        max_new_tokens=80,
        logits_processor=[TransformersMark(found, KEY, temperature=0.8)],
    )
    assert detect(found, KEY, out[:, 5:].tolist(), subject=name, decoys=0).exact.p_value < 1e-9


def test_one_object_may_serve_one_generation_after_another(model: LlamaForCausalLM) -> None:
    processor = TransformersMark(mark("kgw-k1-g0.25-d2"), KEY)
    for length in (4, 9):
        prompt = torch.randint(1, 300, (1, length))
        scores = torch.zeros((1, 300))
        assert torch.equal(processor(prompt, scores), scores), "the first token has no context in the answer"
        grown = torch.cat([prompt, torch.tensor([[7]])], 1)
        assert not torch.equal(processor(grown, scores), scores)
