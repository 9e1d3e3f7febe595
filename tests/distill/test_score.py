from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from spiritsafe.distill.batches import Example, collate, encode
from spiritsafe.distill.rows import Row, prompt_id
from spiritsafe.distill.score import answer, score
from spiritsafe.distill.student import prune_layers

TEXTS = {"Name a river.": "The Rhine ends in the sea.", "How many hens?": "Twelve.", "And?": "Five more hens, he says."}


@pytest.fixture
def examples(model_folder: Path) -> list[Example]:
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    rows = [
        Row(prompt_id=prompt_id(p), prompt=p, sample=0, answer=a, exchange_id="e", source="s") for p, a in TEXTS.items()
    ]
    return [e for r in rows if (e := encode(tokenizer, r, 200))]


def test_scores_are_those_of_the_plain_form(small_model: LlamaForCausalLM, examples: list[Example]) -> None:
    other = prune_layers(small_model, [0, 2, 3])
    scores = score(small_model, examples, 1, other=other, batch=2)
    batch = collate(examples, 1)
    with torch.no_grad():
        p, q = (
            m(input_ids=batch.ids, attention_mask=batch.mask).logits[batch.rows, batch.columns].log_softmax(-1)
            for m in (other, small_model)
        )
    nats = -q.gather(1, batch.labels[:, None]).squeeze(1)
    assert scores.tokens == [e.answer for e in examples]
    assert scores.cross_entropy == pytest.approx(float(nats.mean()), abs=1e-5)
    assert scores.agreement == pytest.approx(float((p.argmax(-1) == q.argmax(-1)).float().mean()))
    assert scores.divergence == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), abs=1e-5)


def test_a_model_agrees_with_itself(small_model: LlamaForCausalLM, examples: list[Example]) -> None:
    scores = score(small_model, examples, 1, other=small_model)
    assert scores.agreement == 1.0
    assert scores.divergence == pytest.approx(0.0, abs=1e-6)


def test_without_another_agreement_is_with_the_answer(small_model: LlamaForCausalLM, examples: list[Example]) -> None:
    scores = score(small_model, examples, 1)
    assert scores.kl is None
    assert scores.agreement < 0.5


def test_greedy_answers_do_not_depend_on_their_neighbours(small_model: LlamaForCausalLM, model_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    prompts = ["Name a river.", "How many hens has the farmer now?", "And?"]
    together, speed = answer(small_model, tokenizer, prompts, max_tokens=6, batch=3)
    apart, _ = answer(small_model, tokenizer, prompts, max_tokens=6, batch=1)
    assert together == apart
    assert speed > 0
