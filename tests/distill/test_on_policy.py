from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from spiritsafe.distill.batches import Example, encode
from spiritsafe.distill.on_policy import OnPolicy
from spiritsafe.distill.recipe import Train
from spiritsafe.distill.rows import Row, prompt_id


def examples(folder: Path) -> list[Example]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [
        Row(prompt_id=prompt_id(p), prompt=p, sample=0, answer="One two.", exchange_id="e", source="s")
        for p in ("Name a river.", "How many hens has the farmer?")
    ]
    return [e for r in rows if (e := encode(tokenizer, r, 100))]


def test_the_student_answers_the_same_prompts_itself(model_folder: Path, small_model: LlamaForCausalLM) -> None:
    chosen = examples(model_folder)
    write = OnPolicy(small_model, AutoTokenizer.from_pretrained(model_folder), Train(max_length=64, seed=3))
    small_model.train()
    written = write(chosen, 5)
    assert small_model.training
    for before, after in zip(chosen, written, strict=True):
        assert after.ids[: after.start] == before.ids[: before.start]
        assert after.key == before.key
        assert after.answer >= 1
        assert len(after.ids) <= 64 + max(e.start for e in chosen)
        assert 1 not in after.ids[after.start : -1]  # the end token, if drawn, is the last
    assert [e.ids for e in written] != [e.ids for e in chosen]


def test_what_is_written_depends_on_the_seed_and_the_step_alone(
    model_folder: Path, small_model: LlamaForCausalLM
) -> None:
    chosen = examples(model_folder)
    write = OnPolicy(small_model, AutoTokenizer.from_pretrained(model_folder), Train(max_length=64, seed=3))
    first = write(chosen, 5)
    torch.rand(7)
    assert write(chosen, 5) == first
    assert write(chosen, 6) != first
