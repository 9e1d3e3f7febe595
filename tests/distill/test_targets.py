from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from spiritsafe.distill.batches import Batch, collate, encode
from spiritsafe.distill.losses.types import Dense, Tokens
from spiritsafe.distill.rows import Row, prompt_id
from spiritsafe.distill.student import keep_tokens
from spiritsafe.distill.targets import Aligned, Live, same_tokens, tokens
from spiritsafe.distill.vocabulary import cut
from spiritsafe.errors import InputError

TEXTS = {"Name a river.": "The Rhine, it ends in the sea.", "How many hens?": "Twelve hens and five more."}


def rows() -> list[Row]:
    return [
        Row(prompt_id=prompt_id(p), prompt=p, sample=0, answer=a, exchange_id="e", source="s") for p, a in TEXTS.items()
    ]


@pytest.fixture
def tokenizer(model_folder: Path) -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(model_folder)  # type: ignore[no-any-return]


@pytest.fixture
def batch(tokenizer: PreTrainedTokenizerFast) -> Batch:
    return collate([e for r in rows() if (e := encode(tokenizer, r, 200))], pad=1)


def test_tokens_are_the_answers(batch: Batch) -> None:
    target = tokens(batch)
    assert isinstance(target.teacher, Tokens)
    assert torch.equal(target.teacher.ids, batch.labels)
    assert target.select is None


def test_a_live_teacher_gives_its_logits_at_the_answer_places(batch: Batch, small_model: LlamaForCausalLM) -> None:
    target = Live(small_model)(batch)
    assert isinstance(target.teacher, Dense)
    with torch.no_grad():
        plain = small_model(input_ids=batch.ids, attention_mask=batch.mask).logits[batch.rows, batch.columns]
    torch.testing.assert_close(target.teacher.logits(0, len(batch.labels)), plain)


def test_tokens_that_the_teacher_does_not_have_are_refused(batch: Batch, small_model: LlamaForCausalLM) -> None:
    with pytest.raises(InputError, match="need one tokenizer"):
        Live(keep_tokens(small_model, range(100)))(batch)


def test_two_tokenizers_are_compared_where_their_tokens_begin_together(
    batch: Batch, tokenizer: PreTrainedTokenizerFast, small_model: LlamaForCausalLM, model_folder: Path
) -> None:
    small, kept = cut(tokenizer.backend_tokenizer, ["hens"], 270)
    other = PreTrainedTokenizerFast(
        tokenizer_object=small, eos_token="<|im_end|>", chat_template=tokenizer.chat_template
    )
    assert not same_tokens(tokenizer, other)
    assert same_tokens(tokenizer, AutoTokenizer.from_pretrained(model_folder))
    examples = {e.key: e for r in rows() if (e := encode(other, r, 400))}
    target = Aligned(keep_tokens(small_model, kept), examples, pad=1)(batch)
    assert target.select is not None
    assert isinstance(target.teacher, Dense)
    # The teacher's tokens are pieces of the student's, so every student token begins where one of its own does.
    assert len(target.select) == len(batch.labels)
    assert target.teacher.logits(0, len(target.select)).shape == (len(batch.labels), len(kept))
