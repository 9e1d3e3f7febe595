from __future__ import annotations

import pytest
import torch

from spiritsafe.teach.detokenize import Pieces
from spiritsafe.teach.draw import Draw
from spiritsafe.teach.types import Delta, Sampling

TABLE = Pieces((b"", b"a", b"b", b"\xc3", b"\xa9", b"##"), strip=False)


GREEDY = Sampling(temperature=0)


def draw(sampling: Sampling = GREEDY, limit: int = 10, **more):
    events: list = []
    return Draw(
        [7, 8, 9], sampling, 2, limit=limit, ends=frozenset({0}), pieces=TABLE, sink=events.append, **more
    ), events


def likely(token: int) -> torch.Tensor:
    logits = torch.zeros(6)
    logits[token] = 5
    return logits


def play(one: Draw, tokens: list[int]) -> list[bool]:
    return [one.accept(likely(token)) for token in tokens]


def test_an_end_token_ends_it_and_is_counted_but_not_shown() -> None:
    one, events = draw()
    assert play(one, [1, 2, 0]) == [False, False, True]
    assert [event.text for event in events] == ["a", "b", ""]
    assert [token.id for event in events for token in event.tokens] == [1, 2]
    last = events[-1]
    assert (last.choice, last.finish, last.prompt_tokens, last.completion_tokens) == (2, "stop", 3, 3)


def test_the_limit_ends_it_with_all_that_was_held() -> None:
    one, events = draw(Sampling(temperature=0, stop=("###",)), limit=3)
    assert play(one, [1, 5, 3]) == [False, False, True]
    assert "".join(event.text for event in events) == "a##\ufffd"
    assert events[-1].finish == "length"
    assert [token.id for event in events for token in event.tokens] == [1, 5, 3]


def test_a_stop_string_ends_it_and_tokens_within_it_do_not_count_as_text() -> None:
    one, events = draw(Sampling(temperature=0, stop=("###",)))
    assert play(one, [1, 5, 5]) == [False, False, True]
    assert "".join(event.text for event in events) == "a"
    assert [token.id for event in events for token in event.tokens] == [1]
    assert (events[-1].finish, events[-1].completion_tokens) == ("stop", 3)


def test_a_token_with_half_a_character_waits_for_the_other_half() -> None:
    one, events = draw()
    play(one, [3, 4])
    assert [(event.text, len(event.tokens)) for event in events] == [("é", 2)]
    assert [token.data for token in events[0].tokens] == [b"\xc3", b"\xa9"]


def test_logprobs_are_the_models_own_and_not_the_processed() -> None:
    def only_two(logits, context):
        logits[1] = float("-inf")
        return logits

    only_two.stage = "logits"
    one, events = draw(Sampling(temperature=0, logprobs=2), processors=[only_two])
    one.accept(torch.tensor([0.0, 5.0, 4.0, 0.0, 0.0, 0.0]))
    (token,) = events[0].tokens
    assert token.id == 2
    assert [each.id for each in token.top] == [1, 2]
    assert token.logprob == pytest.approx(token.top[1].logprob)
    assert token.logprob < token.top[0].logprob


def test_ids_are_the_prompt_followed_by_what_was_drawn() -> None:
    one, _ = draw()
    play(one, [1, 2])
    assert len(one) == 5
    whole = [7, 8, 9, 1, 2]
    for start in range(6):
        for stop in range(start, 6):
            assert one.ids(start, stop) == whole[start:stop]


def test_cancelling_shows_what_was_held() -> None:
    one, events = draw(Sampling(temperature=0, stop=("ax",)))
    play(one, [1])
    assert events == []
    one.cancel()
    assert (events[0].text, events[0].finish, [token.id for token in events[0].tokens]) == ("a", "cancelled", [1])


def test_an_error_goes_to_the_sink() -> None:
    one, events = draw()
    one.fail(ValueError("x"))
    assert isinstance(events[0], ValueError)
    assert not any(isinstance(event, Delta) for event in events)
