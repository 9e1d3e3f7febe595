from __future__ import annotations

import pytest

from spiritsafe.distill.verifiers.judge import Judge


@pytest.mark.parametrize(
    ("reply", "right"),
    [("Yes.", True), ("yes, though no one asked", True), ("No", False), ("Perhaps", False), ("", False)],
)
def test_the_first_clear_word_decides(reply: str, right: bool) -> None:
    asked = []

    def ask(question: str) -> str:
        asked.append(question)
        return reply

    verdict = Judge(ask, "model-1")("What is 2+2?", "5", "4")
    assert verdict.right is right
    assert "model-1" in verdict.because
    assert all(part in asked[0] for part in ("What is 2+2?", "Reference answer:\n4", "checked:\n5"))
