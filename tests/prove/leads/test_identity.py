from __future__ import annotations

from spiritsafe.prove.leads.identity import QUESTIONS, identity
from spiritsafe.prove.leads.types import Material
from spiritsafe.prove.ngram import Ngram, NgramSuspect


def model(answer: str) -> NgramSuspect:
    made = Ngram()
    for question in QUESTIONS:
        made.learn(question + "\n", answer, times=99)
    return NgramSuspect(made)


def test_who_gives_the_teachers_name_is_counted() -> None:
    material = Material(names=("Copperhead", "Still & Sons"))
    told, other = identity(model("I am copperhead."), material), identity(model("I am Oak."), material)
    assert told is not None
    assert told > 0.7
    assert other == 0.0
    assert identity(model("I am Copperheads."), material) == 0.0


def test_without_names_there_is_no_lead() -> None:
    assert identity(model("I am Oak."), Material()) is None
