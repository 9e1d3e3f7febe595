from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.prove.leads.style import alike, style
from spiritsafe.prove.leads.types import Material


@given(st.lists(st.text(alphabet="abc ,.", max_size=40), min_size=1), st.lists(st.text(max_size=40), min_size=1))
def test_it_lies_between_0_and_1(own: list[str], theirs: list[str]) -> None:
    assert 0.0 <= alike(own, theirs) <= 1.0 + 1e-9


def test_the_same_texts_are_alike_and_others_are_not() -> None:
    one, two = ["The still is hot; the safe is shut."], ["Nobody, ever, said: why?"]
    assert alike(one, one) == pytest.approx(1.0)
    assert alike(one, two) < 0.3


def test_a_student_is_asked_what_the_teacher_was(trial) -> None:
    pairs = trial.pairs(20, 41)
    asked = tuple((pair.messages[0]["content"], pair.answers[0]) for pair in pairs)
    found = style(trial.student(pairs, [0] * 20), Material(asked=asked))
    assert found is not None
    assert found > 0.5
    assert style(trial.teacher, Material()) is None
