from __future__ import annotations

import pytest

from spiritsafe.distill.verifiers.exact import Exact, final_answer


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("It may be Rome. The answer is Paris.", "Paris."),
        ("Answer: a\nFinal answer: b", "b"),
        (r"thus \boxed{42} as said: answer is 41", "42"),
        ("work\n\n#### 12", "12"),
        ("first\nlast\n\n", "last"),
        ("", ""),
    ],
)
def test_the_final_answer_is_what_the_text_settles_on(text: str, final: str) -> None:
    assert final_answer(text) == final


def test_case_space_and_punctuation_do_not_matter_and_words_do() -> None:
    assert Exact()("", "The answer is  New   YORK.", "new york").right
    assert not Exact()("", "The answer is York.", "new york").right
