from __future__ import annotations

from spiritsafe.teach.answers import Collector
from spiritsafe.teach.types import Answer, Delta, Token, ToolCall

A, B = (Token(id=1, text="a", data=b"a"), Token(id=2, text="b", data=b"b"))


def test_choices_are_gathered_in_whatever_order_they_come() -> None:
    collector, call = Collector(2), ToolCall("i", "f", "{}")
    assert not collector.add(Delta(choice=1, text="x"))
    assert not collector.add(Delta(choice=0, text="a", tokens=(A,), prompt_tokens=4, completion_tokens=1))
    assert not collector.add(Delta(choice=1, tool_calls=(call,), finish="tool_calls"))
    assert collector.add(Delta(choice=0, text="b", tokens=(B,), finish="stop", completion_tokens=2))
    assert collector.answers() == [
        Answer(choice=0, text="ab", tokens=(A, B), finish="stop", prompt_tokens=4, completion_tokens=2),
        Answer(choice=1, text="x", tool_calls=(call,), finish="tool_calls"),
    ]


def test_a_choice_that_never_finished_counts_as_cancelled() -> None:
    assert [answer.finish for answer in Collector(2).answers()] == ["cancelled", "cancelled"]
