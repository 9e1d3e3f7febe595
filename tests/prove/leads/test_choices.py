from __future__ import annotations

from spiritsafe.prove.leads.choices import QUESTIONS, choices
from spiritsafe.prove.leads.types import Material
from spiritsafe.prove.ngram import Ngram, NgramSuspect


def model(*answers: str) -> NgramSuspect:
    made = Ngram()
    for question in QUESTIONS:
        for answer in answers:
            made.learn(question + "\n", answer, times=50)
    return NgramSuspect(made)


def test_those_who_choose_alike_overlap() -> None:
    teacher = model("7", "blue")
    same = choices(model("7", "blue"), Material(teacher=teacher))
    half = choices(model("7", "red"), Material(teacher=teacher))
    none = choices(model("3", "red"), Material(teacher=teacher))
    assert same is not None
    assert half is not None
    assert same > half > 0.0 == none


def test_without_the_teacher_there_is_no_lead() -> None:
    assert choices(model("7"), Material()) is None
