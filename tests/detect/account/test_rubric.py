from __future__ import annotations

from spiritsafe.detect.account.rubric import Rubric
from spiritsafe.detect.account.sorts import model
from spiritsafe.record.sketch import sketch_texts

SO = (
    "Score this reply from 1 to 5 for accuracy and tone. Question: what is a lake? Reply: water.",
    "Which answer is better, A or B? Question: why do cats purr? A: they are happy. B: they breathe.",
    "Mark every step of the proof as right or wrong. Problem: 3 + 4. Steps: 3 + 4 = 7.",
)
NOT_SO = (
    "how do i reset my password",
    "Write a Python function that sorts a list of dates.",
    "what should I cook tonight?",
    "Show your working: solve 3x + 5 = 20.",
)


def shares(*texts: str) -> list[float]:
    place = model().names.index(Rubric.manner)
    features = Rubric().features(sketch_texts(texts, parts=Rubric.parts))
    return [float(share) for share in features[:, place]]


def test_what_is_worded_so_is_told_from_the_rest() -> None:
    assert min(shares(*SO)) > 0.3
    assert max(shares(*NOT_SO)) < 0.1


def test_it_says_what_was_seen() -> None:
    assert "12% of its 90" in Rubric().words(0.12, 90)
    assert "graded" in Rubric().words(0.12, 90)
