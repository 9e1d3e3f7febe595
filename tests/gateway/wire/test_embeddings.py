from __future__ import annotations

import json
from typing import Any

import pytest

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire.embeddings import Embeddings
from spiritsafe.gateway.wire.types import Answer
from spiritsafe.record.exchange import Message

EMBEDDINGS = Embeddings()


@pytest.mark.parametrize(("value", "texts"), [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]])])
def test_every_form_of_input_is_read(value: Any, texts: list[Any]) -> None:
    found = EMBEDDINGS.ask({"model": "m", "input": value, "dimensions": 2})
    assert list(found.messages) == [Message("user", text) for text in texts]
    assert (found.params, found.stream) == ({"dimensions": 2}, False)


@pytest.mark.parametrize("body", [{}, {"input": 3}, {"input": []}])
def test_a_request_without_input_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Fault):
        EMBEDDINGS.ask(body)


def test_of_an_answer_the_count_and_the_tokens_are_kept() -> None:
    answer = Answer()
    payload = {"model": "m", "data": [{"embedding": [0.1]}, {"embedding": [0.2]}], "usage": {"prompt_tokens": 4}}
    EMBEDDINGS.read(json.dumps(payload).encode(), EMBEDDINGS.ask({"input": "a"}), answer)
    assert (answer.output, answer.prompt_tokens, answer.completion_tokens) == ({"embeddings": 2}, 4, 0)
    assert EMBEDDINGS.withhold(payload)
    assert not EMBEDDINGS.hear(b"{}", EMBEDDINGS.ask({"input": "a"}), answer)
