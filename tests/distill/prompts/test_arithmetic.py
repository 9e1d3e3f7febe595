from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from random import Random

import pytest

from spiritsafe.distill.prompts.arithmetic import NAMES, PATTERNS, arithmetic
from spiritsafe.distill.verifiers import Number


def problem(pattern: str, seed: int = 0) -> tuple[list[int], str]:
    """The numbers and the answer of the first problem that begins as ``pattern`` does after its first slot."""
    rule = re.compile(pattern)
    for item in islice(arithmetic(Random(seed)), 2000):
        if rule.search(item.text):
            return [int(x) for x in re.findall(r"\d+", item.text)], item.answer or ""
    raise AssertionError(pattern)


@pytest.mark.parametrize(
    ("pattern", "reckon"),
    [
        (r"more from", lambda a, b: f"{a + b} "),
        (r"pays with", lambda a, b, c: f"${c - a * b}"),
        (r"times as many", lambda a, b: f"{a * (1 + b)} "),
        (r"metres of", lambda a, b: f"{100 * a // b} pieces"),
        (r"% off", lambda a, b: f"${b * (100 - a) // 100}"),
        (r"leak out", lambda a, b, c: f"{a // (b - c)} minutes"),
        (r"quarter of them", lambda a, b, c: f"{3 * a * b // 4 - c} rolls"),
        (r"guests", lambda a, b, c, d, e: f"${-(-(a * b - c) // d) * e}"),
        (r"A third of all", lambda a, b, c, d: f"{a * b * 2 // 3 - c + d} "),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_the_known_answer_is_what_the_text_asks_for(pattern: str, reckon: object, seed: int) -> None:
    numbers, answer = problem(pattern, seed)
    assert answer.startswith(reckon(*numbers))  # type: ignore[operator]


def test_problems_take_one_to_four_steps_and_thousands_are_distinct() -> None:
    assert Counter(p.steps for p in PATTERNS).keys() == {1, 2, 3, 4}
    assert len({i.text for i in islice(arithmetic(Random(0)), 5000)}) > 4990


def test_an_answer_is_a_whole_number_above_zero_that_its_verifier_takes() -> None:
    verify = Number()
    for item in islice(arithmetic(Random(2)), 1000):
        assert item.answer is not None
        value = int(re.search(r"\d+", item.answer)[0])  # type: ignore[index]
        assert value > 0
        assert verify(item.text, f"First I think of 7.\nThe answer is {value}.", item.answer).right
        assert not verify(item.text, f"The answer is {value + 1}.", item.answer).right


def test_nobody_is_two_people_in_one_problem() -> None:
    for item in islice(arithmetic(Random(3)), 2000):
        assert "and and" not in item.text
        for name in NAMES:
            assert f"{name} and {name}" not in item.text
            assert f"{name}, {name}" not in item.text
