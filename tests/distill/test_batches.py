from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from spiritsafe.distill.batches import Plan, collate, encode, schedule
from spiritsafe.distill.rows import Row, prompt_id


def row(prompt: str, answer: str, reasoning: str | None = None) -> Row:
    return Row(
        prompt_id=prompt_id(prompt),
        prompt=prompt,
        sample=0,
        answer=answer,
        reasoning=reasoning,
        exchange_id="e",
        source="s",
    )


def test_only_the_answer_and_its_end_are_trained_on(model_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    example = encode(tokenizer, row("Name a river.", "The Rhine."), 200)
    assert example is not None
    assert tokenizer.decode(example.ids[example.start :]) == "The Rhine.<|im_end|>"
    assert tokenizer.decode(example.ids[: example.start]).endswith("<|im_start|>assistant\n")
    assert example.offsets[0] == 0
    assert example.offsets[-1] == len("The Rhine.")
    assert len(example.offsets) == example.answer


def test_reasoning_is_learnt_before_the_answer(model_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    example = encode(tokenizer, row("2+2", "4", reasoning="two and two"), 200)
    assert example is not None
    assert tokenizer.decode(example.ids[example.start :]) == "<think>\ntwo and two\n</think>\n\n4<|im_end|>"


def test_a_row_too_long_is_left_out_whole(model_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    length = len(encode(tokenizer, row("a", "b c d"), 999).ids)  # type: ignore[union-attr]
    assert encode(tokenizer, row("a", "b c d"), length) is not None
    assert encode(tokenizer, row("a", "b c d"), length - 1) is None


def test_a_batch_says_which_hidden_state_foretells_which_token(model_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    examples = [encode(tokenizer, row("a", t), 200) for t in ("one", "two and three")]
    batch = collate([e for e in examples if e], pad=1)
    assert len(batch.labels) == sum(e.answer for e in examples if e)
    for r, c, label in zip(batch.rows.tolist(), batch.columns.tolist(), batch.labels.tolist(), strict=True):
        assert batch.ids[r, c + 1] == label
        assert batch.mask[r, c + 1] == 1
    assert batch.mask.sum() == sum(len(e.ids) for e in examples if e)


@given(st.integers(1, 60), st.integers(1, 7), st.integers(0, 3))
def test_every_epoch_sees_every_example_once_and_is_the_same_for_the_same_seed(
    n: int, per_step: int, seed: int
) -> None:
    lengths = [(i * 37) % 50 for i in range(n)]
    plan = Plan(lengths, per_step, 2, None, seed)
    assert plan.steps == 2 * plan.steps_per_epoch
    for epoch in range(2):
        steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
        assert Counter(i for s in steps for i in plan.step(s)) == Counter(range(n))
    again = Plan(lengths, per_step, 2, None, seed)
    assert [again.step(s) for s in reversed(range(plan.steps))] == [plan.step(s) for s in reversed(range(plan.steps))]


def test_steps_are_the_tighter_bound() -> None:
    assert Plan([1] * 10, 2, 3, 4, 0).steps == 4
    assert Plan([1] * 10, 2, 0.5, None, 0).steps == 2


@pytest.mark.parametrize(("progress", "share"), [(0.05, 1.0), (0.5, 1.0), (0.9, 1.0), (0.95, 0.55), (1.0, 0.1)])
def test_the_rate_rises_stays_and_falls(progress: float, share: float) -> None:
    rate = schedule(0.05, 0.1)
    assert rate(progress) == pytest.approx(share)
    assert 0 < rate(0.0) < rate(0.02) < 1
