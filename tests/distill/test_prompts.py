from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distill.curate import curate
from spiritsafe.distill.prompts import GENERATORS, generate
from spiritsafe.distill.recipe import Curate
from spiritsafe.distill.rows import Row, is_held_out, prompt_id
from spiritsafe.errors import InputError, UsageError


@pytest.mark.parametrize("kind", GENERATORS)
def test_six_hundred_prompts_are_distinct_and_repeatable_and_fewer_are_the_first_of_them(kind: str) -> None:
    items = generate(kind, 600, 0)
    assert len({prompt_id(i.text) for i in items}) == 600
    assert generate(kind, 200, 0) == items[:200]
    assert generate(kind, 600, 1) != items


@pytest.mark.parametrize("kind", GENERATORS)
def test_few_are_lost_to_deduplication_and_decontamination_against_the_held_out(kind: str) -> None:
    texts = [i.text for i in generate(kind, 600, 3)]
    rows = [
        Row(
            prompt_id=prompt_id(t),
            prompt=t,
            sample=0,
            answer="Yes.",
            exchange_id=str(i),
            source="s",
            held_out=is_held_out(prompt_id(t), 0.1, 0),
        )
        for i, t in enumerate(texts)
    ]
    counts = curate(rows, Curate()).counts()
    assert counts["kept"] >= 0.85 * (600 - counts["dropped held out"])


@given(st.integers(0, 2**32), st.sampled_from(sorted(GENERATORS)))
def test_no_seed_leaves_a_slot_open(seed: int, kind: str) -> None:
    for item in generate(kind, 40, seed):
        assert not set("{}") & set(item.text + (item.answer or ""))
        assert item.text == item.text.strip()


def test_more_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from spiritsafe.distill.prompts.types import Item

    monkeypatch.setitem(GENERATORS, "three", lambda dice: iter(Item(str(i % 3)) for i in range(10**6)))
    assert len(generate("three", 3, 0)) == 3
    with pytest.raises(InputError, match="only about 3 prompts, not 4"):
        generate("three", 4, 0)


def test_an_unknown_kind_names_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="Valid names: arithmetic, general"):
        generate("poems", 1, 0)
