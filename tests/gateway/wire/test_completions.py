from __future__ import annotations

import json
from typing import Any

import pytest

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire.completions import Completions
from spiritsafe.gateway.wire.types import Answer
from spiritsafe.record.exchange import Message

COMPLETIONS = Completions()


@pytest.mark.parametrize(
    ("prompt", "messages"),
    [
        ("a", [Message("user", "a")]),
        (["a", "b"], [Message("user", "a"), Message("user", "b")]),
        ([1, 2], [Message("user", [1, 2])]),
        ([[1], [2]], [Message("user", [1]), Message("user", [2])]),
    ],
)
def test_every_form_of_a_prompt_is_read(prompt: Any, messages: list[Message]) -> None:
    found = COMPLETIONS.ask({"model": "m", "prompt": prompt, "n": 2, "echo": True})
    assert list(found.messages) == messages
    assert found.choices == 2 * len(messages)
    assert found.params == {"n": 2, "echo": True}


@pytest.mark.parametrize("prompt", [None, "absent", 7, [], [{}]])
def test_a_request_without_a_prompt_is_refused(prompt: Any) -> None:
    with pytest.raises(Fault):
        COMPLETIONS.ask({} if prompt == "absent" else {"prompt": prompt})


def test_answers_are_read_whole_and_in_pieces() -> None:
    usage = {"prompt_tokens": 2, "completion_tokens": 3}
    whole = Answer()
    payload = {"id": "c", "choices": [{"text": "ab", "finish_reason": "stop"}], "usage": usage}
    COMPLETIONS.read(json.dumps(payload).encode(), COMPLETIONS.ask({"prompt": "x"}), whole)
    assert (whole.choices[0].text, whole.completion_tokens) == (["ab"], 3)
    ask, pieces = COMPLETIONS.ask({"prompt": "x"}), Answer()
    events: list[Any] = [
        {"choices": [{"index": 0, "text": "a", "finish_reason": None}]},
        {"choices": [{"index": 0, "text": "b", "finish_reason": "length"}]},
        {"choices": [], "usage": usage},
    ]
    ends = [COMPLETIONS.hear(json.dumps(event).encode(), ask, pieces) for event in events]
    assert ends == [False, True, True]
    assert (pieces.choices[0].text, pieces.choices[0].finish, pieces.bare_usage) == (["a", "b"], "length", True)
    assert COMPLETIONS.hear(b"[DONE]", ask, pieces)
    assert pieces.over


def test_strange_events_are_counted_and_errors_noticed() -> None:
    ask, answer = COMPLETIONS.ask({"prompt": "x"}), Answer()
    assert not COMPLETIONS.hear(b'{"choices": 7}', ask, answer)
    assert not COMPLETIONS.hear(b'{"error": "full"}', ask, answer)
    assert (answer.unread, answer.error) == (1, {"message": "full"})


def test_withholding_takes_logprobs() -> None:
    payload = {"choices": [{"text": "a", "logprobs": {"tokens": []}}, {"text": "b"}]}
    assert COMPLETIONS.withhold(payload)
    assert payload == {"choices": [{"text": "a", "logprobs": None}, {"text": "b"}]}
