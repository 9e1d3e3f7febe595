from __future__ import annotations

from spiritsafe.prove.leads import LEADS, leads
from spiritsafe.prove.leads.types import Material


def test_each_lead_is_measured_on_the_suspect_and_on_the_controls(trial) -> None:
    pairs = trial.pairs(30, 31)
    asked = tuple((pair.messages[0]["content"], pair.answers[0]) for pair in pairs)
    student, other = trial.student(pairs, [0] * 30), trial.student(trial.pairs(30, 32), [0] * 30)
    found = leads(student, [other], Material(asked=asked, names=("Copperhead",), teacher=trial.teacher))
    names = [lead.name for lead in found]
    assert names == [name for name in LEADS if name != "next-token agreement"]  # no weights here
    assert all(0.0 <= score <= 1.0 for lead in found for score in (lead.score, *lead.controls))
    assert all(lead.words for lead in found)


def test_what_can_not_be_had_is_left_out(trial) -> None:
    assert leads(trial.teacher, [], Material()) == []
