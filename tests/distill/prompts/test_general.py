from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

from spiritsafe.distill.prompts.general import KINDS, general


def frame_of(text: str) -> str:
    """The kind whose frame's first words begin the text."""
    heads = [(i, f.split("{")[0]) for i, kind in enumerate(KINDS) for f in kind.frames]
    return str(max((len(head), i) for i, head in heads if text.startswith(head))[1])


def test_kinds_come_equally_often() -> None:
    counts = Counter(frame_of(i.text) for i in islice(general(Random(0)), 52 * len(KINDS)))
    assert len(counts) >= len(KINDS) - 2  # some frames of two kinds begin alike
    assert max(counts.values()) <= 3 * 52


def test_prompts_are_short_and_have_no_known_answer() -> None:
    for item in islice(general(Random(1)), 600):
        assert 8 < len(item.text) < 140
        assert item.answer is None
