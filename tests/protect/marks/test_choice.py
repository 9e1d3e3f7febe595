from __future__ import annotations

import numpy as np

from spiritsafe.protect.keys import MarkKey
from spiritsafe.protect.marks.choice import Choice, choose
from spiritsafe.protect.marks.detect import detect, encode
from spiritsafe.protect.prf import Words
from spiritsafe.protect.rehearsal import Chain

MARK = Choice(4, 2)


def texts(sequences: Words) -> list[str]:
    return [" ".join(f"w{token}" for token in row) for row in sequences]


def test_chosen_answers_are_found_and_first_answers_are_not(writer: Chain, key: MarkKey) -> None:
    rng = np.random.default_rng(0)
    groups = [texts(writer.write(4, 40, rng)) for _ in range(80)]
    served = [group[choose(MARK, key.sip, group)] for group in groups]
    assert detect(MARK, key, encode(MARK, served, None), subject="served", decoys=0).exact.p_value < 1e-9
    first = [group[0] for group in groups]
    assert detect(MARK, key, encode(MARK, first, None), subject="first", decoys=0).exact.p_value > 1e-3


def test_an_answer_too_short_to_score_stands_at_the_null(writer: Chain, key: MarkKey) -> None:
    drawn = texts(writer.write(40, 30, np.random.default_rng(1)))
    picked = {choose(MARK, key.sip, ["", each]) for each in drawn}
    assert picked == {0, 1}, "an empty answer stands at the null, above some and below others"


def test_the_score_is_a_fair_bit() -> None:
    np.testing.assert_array_equal(MARK.score(np.array([0, 1, 2, 255], dtype=np.uint32)), [0.0, 1.0, 0.0, 1.0])
