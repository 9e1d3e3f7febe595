from __future__ import annotations

from typing import Any

import pytest

from spiritsafe.errors import ResourceError, UsageError
from spiritsafe.prove.suspect_api import ApiSuspect
from spiritsafe.teach.openai import OpenAITeacher
from spiritsafe.teach.types import Sampling, Unwell

ONE = Sampling(max_tokens=5, seed=1)


def chat(text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


def echo(body: dict[str, Any], *, offsets: bool = True) -> dict[str, Any]:
    """One token a character, each as likely as its code says, and one more that was drawn."""
    tokens = [*body["prompt"], "!"]
    logprobs = {"tokens": tokens, "token_logprobs": [None, *(-ord(c) / 100 for c in tokens[1:])]}
    if offsets:
        logprobs["text_offset"] = list(range(len(tokens)))
    return {"choices": [{"index": 0, "text": body["prompt"] + "!", "logprobs": logprobs}]}


def opened(upstream: Any) -> ApiSuspect:
    return ApiSuspect(OpenAITeacher(upstream.url, "m", None, attempts=3, pause=0.01), attempts=3, pause=0.01)


def test_it_answers_and_keeps_the_order(upstream) -> None:
    upstream.said["/v1/chat/completions"] = [lambda body: chat(body["messages"][0]["content"] + "!")]
    replies = opened(upstream).generate([str(n) for n in range(20)], ONE)
    assert [one[0].text for one in replies] == [f"{n}!" for n in range(20)]


def test_a_refused_request_is_a_refused_reply(upstream) -> None:
    upstream.said["/v1/chat/completions"] = [(400, {"error": {"message": "content policy"}})]
    ((reply,),) = opened(upstream).generate(["a"], ONE)
    assert reply.ending == "refused"
    assert "content policy" in reply.trouble


def test_a_rate_limit_is_waited_out(upstream) -> None:
    busy = (429, {"error": {"message": "slow down"}})
    upstream.said["/v1/chat/completions"] = [busy, busy, chat("at last")]
    assert opened(upstream).generate(["a"], ONE)[0][0].text == "at last"


def test_one_that_stays_away_is_gone(upstream) -> None:
    upstream.said["/v1/chat/completions"] = [(503, {"error": {"message": "overloaded"}})]
    with pytest.raises(Unwell, match="overloaded"):
        opened(upstream).generate(["a"], ONE)


@pytest.mark.parametrize("offsets", [True, False])
def test_echo_gives_the_probability_of_a_given_text(upstream, offsets: bool) -> None:
    upstream.said["/v1/completions"] = [lambda body: echo(body, offsets=offsets)]
    suspect = opened(upstream)
    assert suspect.access == "logprobs"
    (scored,) = suspect.score([("ask", "yes")])
    assert scored.logprobs == (-1.21, -1.01, -1.15)
    assert upstream.asked[-1][1]["prompt"] == "ask\nyes"
    assert upstream.asked[-1][1]["echo"] is True


def test_a_busy_echo_is_asked_again_and_a_refused_text_has_no_score(upstream) -> None:
    upstream.said["/v1/completions"] = [echo, (429, {"error": {"message": "slow"}}), (400, {"error": {"message": "x"}})]
    suspect = opened(upstream)
    assert suspect.score([("ask", "yes")])[0].logprobs == ()
    assert suspect.score([("ask", "")])[0].logprobs == ()


def test_a_server_that_echoes_without_probabilities_gives_text(upstream) -> None:
    upstream.said["/v1/completions"] = [{"choices": [{"index": 0, "text": "x", "logprobs": None}]}]
    suspect = opened(upstream)
    assert suspect.access == "text"
    with pytest.raises(UsageError, match="needs logprobs"):
        suspect.score([("a", "b")])


def test_weights_are_not_to_be_had(upstream) -> None:
    suspect = opened(upstream)
    with pytest.raises(UsageError, match="needs weights"):
        suspect.likeliest([1])
    with pytest.raises(UsageError, match="needs weights"):
        suspect.distributions([1])


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(ResourceError, match="can't be reached"):
        ApiSuspect(OpenAITeacher("http://127.0.0.1:9/v1", "m", None), attempts=1, pause=0.01)
