from __future__ import annotations

from spiritsafe.protect.marks.adapters.steps import Steps


def test_the_first_row_of_an_answer_is_its_prompt() -> None:
    steps = Steps(None)
    assert [steps.start(n) for n in (7, 8, 9)] == [7, 7, 7]


def test_a_row_that_does_not_grow_by_one_begins_another_answer() -> None:
    steps = Steps(None)
    assert [steps.start(n) for n in (7, 8, 3, 4, 9, 10)] == [7, 7, 3, 3, 9, 9]


def test_a_given_length_stays() -> None:
    steps = Steps(2)
    assert [steps.start(n) for n in (7, 8, 3)] == [2, 2, 2]
