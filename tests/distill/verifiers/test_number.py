from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distill.verifiers.number import Number, numbers


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1,234.5 and -7", ["1234.5", "-7"]),
        ("5-3 is 2", ["5", "3", "2"]),
        ("3/4 of 12%", ["3/4", "12"]),
        ("$1,000,000", ["1000000"]),
        ("(4) - 1", ["4", "1"]),
        ("\u22122.50", ["-5/2"]),
        (".5", ["1/2"]),
        ("7/0", []),
        ("none", []),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, wanted: list[str]) -> None:
    assert numbers(text) == [Fraction(w) for w in wanted]


@pytest.mark.parametrize(
    ("answer", "known", "right"),
    [
        ("We add 3 and 4.\nThe answer is 7.", "7", True),
        ("3 + 4 = 7, so there are 7 apples left of 12.\n#### 7", "reasoning\n#### 7", True),
        (r"so \boxed{1/2}", "0.5", True),
        ("The answer is 8.", "7", False),
        ("I can't say.", "7", False),
        ("It costs 7 dollars", "seven", False),
    ],
)
def test_the_number_an_answer_settles_on_decides(answer: str, known: str, right: bool) -> None:
    verdict = Number()("", answer, known)
    assert verdict.right is right
    assert verdict.because


@given(st.integers(-(10**9), 10**9))
def test_any_integer_is_right_against_itself_and_wrong_against_the_next(value: int) -> None:
    assert Number()("", f"The answer is {value:,}.", str(value)).right
    assert not Number(0.0)("", f"The answer is {value + 1}.", str(value)).right
