from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distill.curate import curate, shingles
from spiritsafe.distill.recipe import Curate
from spiritsafe.distill.rows import Row, prompt_id
from spiritsafe.distill.verifiers.number import Number


def row(prompt: str, answer: str = "An answer.", **more: object) -> Row:
    fields = {
        "prompt_id": prompt_id(prompt),
        "sample": 0,
        "finish": "stop",
        "exchange_id": f"e-{prompt[:9]}",
        "source": "p",
    }
    return Row(prompt=prompt, answer=answer, **(fields | more))  # type: ignore[arg-type]


def reasons(rows: list[Row], evaluation: tuple[str, ...] = (), **section: object) -> list[str | None]:
    done = curate(rows, Curate(**section), evaluation)  # type: ignore[arg-type]
    assert [r.exchange_id for r in done.rows] == [r.exchange_id for r in rows]
    return [r.reason and r.reason.split(":")[0] for r in done.rows]


LONG = "Tell me how a lighthouse keeper in the year 1850 spent a night of storm on the rocks"


def test_form_is_checked_first() -> None:
    rows = [row("a b", " "), row("c d", "x" * 50), row("e f", finish="length"), row("g h")]
    assert reasons(rows, max_chars=20) == ["too short", "too long", "unfinished", None]
    assert reasons([row("e f", finish="length")], complete=False) == [None]


def test_the_same_answer_to_the_same_prompt_is_kept_once() -> None:
    rows = [row("a b"), row("a  b"), row("a b", "Another answer.")]
    assert reasons(rows) == [None, "repeated", None]


def test_a_prompt_reworded_lightly_is_a_near_duplicate_and_a_new_one_is_not() -> None:
    rows = [row(LONG), row(LONG + " please"), row("Write a poem about the sea and what the sea forgets at night")]
    assert reasons(rows, near=0.8) == [None, "near duplicate", None]
    assert reasons(rows, near=None) == [None, None, None]


def test_two_sums_are_two_tasks() -> None:
    text = "A farmer has {} hens and buys {} more at the market on Monday. How many hens has the farmer now?"
    assert reasons(
        [row(text.format(12, 5)), row(text.format(31, 8)), row(text.format(12, 5) + " Show why.")], near=0.85
    ) == [
        None,
        None,
        "near duplicate",
    ]


def test_held_out_prompts_and_whatever_overlaps_with_them_are_not_trained_on() -> None:
    rows = [row(LONG, held_out=True), row("Please: " + LONG.upper()), row("a b"), row("Name three rivers of Peru")]
    assert reasons(rows, ("name three rivers of peru!",)) == ["held out", "contaminated", None, "contaminated"]


def test_seven_common_words_are_no_contamination_and_eight_are() -> None:
    common = "one two three four five six seven"
    assert reasons([row(f"{common} red")], (f"{common} blue and more",)) == [None]
    assert reasons([row(f"{common} eight red")], (f"so {common} eight and more",)) == ["contaminated"]


def test_answers_in_another_script_are_dropped_when_scripts_are_named() -> None:
    rows = [row("a b", "A plain English answer."), row("c d", "Это совсем другой ответ на вопрос")]
    assert reasons(rows, scripts=("latin",)) == [None, "language"]


def test_wrong_answers_are_rejected_and_one_right_one_a_prompt_is_kept() -> None:
    answers = ["It is 5.", "After long thought, it is 4.", "It is 4.", "4, surely 4, it is 4."]
    rows = [row("2+2", a, sample=i, known="4") for i, a in enumerate(answers)] + [row("3+3", "6")]
    for keep, wanted in (("first", 1), ("shortest", 2)):
        done = curate(rows, Curate(keep=keep), verify=Number())  # type: ignore[arg-type]
        assert [i for i, r in enumerate(done.rows) if r.reason is None] == [wanted]
        assert done.counts() == {
            "rows": 5,
            "kept": 1,
            "dropped surplus": 2,
            "dropped unverified": 1,
            "dropped wrong": 1,
        }


@given(st.lists(st.text(max_size=40), max_size=12), st.floats(0.5, 1.0))
def test_every_row_is_kept_or_has_a_reason_and_curating_again_changes_nothing(texts: list[str], near: float) -> None:
    rows = [row(t, t or "x", exchange_id=f"e{i}") for i, t in enumerate(texts)]
    done = curate(rows, Curate(near=near))
    assert len(done.rows) == len(rows)
    assert sum(n for name, n in done.counts().items() if name.startswith("dropped")) + len(done.kept) == len(rows)
    again = curate(done.kept, Curate(near=near))
    assert again.kept == done.kept


@pytest.mark.parametrize(("text", "n", "count"), [("", 8, 0), ("a b c", 8, 1), ("a b c d", 3, 2), ("A, b! c.", 3, 1)])
def test_shingles_of_short_texts_are_the_whole_text(text: str, n: int, count: int) -> None:
    assert len(shingles(text, n)) == count
