from __future__ import annotations

import re
from itertools import islice
from random import Random

from spiritsafe.distill.prompts.sums import sums
from spiritsafe.distill.verifiers import Number


def test_the_known_answer_is_the_sum_or_the_difference_of_two_small_numbers() -> None:
    verify = Number()
    kinds = set()
    for item in islice(sums(Random(0)), 500):
        a, b = (int(x) for x in re.findall(r"\d+", item.text))
        difference = any(word in item.text for word in ("gives", "sells", "Take"))
        kinds.add(difference)
        value = abs(a - b) if difference else a + b
        assert 0 < value <= 21
        assert verify(item.text, f"{a} and {b}, so the answer is {value}.", item.answer or "").right
    assert kinds == {True, False}
