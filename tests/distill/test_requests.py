from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spiritsafe.distill.answers import request_digest
from spiritsafe.distill.recipe import Collect, Sampling
from spiritsafe.distill.requests import Requests, split_reasoning
from spiritsafe.distill.rows import Prompt
from spiritsafe.teach.types import Answer, Candidate, Token

PROMPT = Prompt(prompt_id="p", text="Why?", source="s")
SECTION = Collect(system="Be brief.", sampling=Sampling(temperature=0.5, max_tokens=9, seed=7, top_logprobs=2))


def answered(**fields: object):
    answer = Answer(choice=0, **({"text": "Because.", "finish": "stop"} | fields))  # type: ignore[arg-type]
    return Requests("m", SECTION).answered(PROMPT, 1, answer, datetime(2026, 1, 1, tzinfo=UTC), 0.25)


def test_what_is_asked_is_what_is_written_down() -> None:
    requests = Requests("m", SECTION)
    assert [m["content"] for m in requests.chat(PROMPT).messages] == ["Be brief.", "Why?"]
    drawn = requests.sampling(1)
    assert (drawn.temperature, drawn.max_tokens, drawn.seed, drawn.logprobs) == (0.5, 9, 8, 2)
    exchange = requests.open(PROMPT, 1)
    assert (exchange.model, exchange.system, exchange.params["seed"]) == ("m", "Be brief.", 8)
    assert exchange.completion is None


def test_every_sample_is_another_request_and_an_answer_has_its_requests_digest() -> None:
    requests = Requests("m", SECTION)
    digests = [request_digest(requests.open(PROMPT, sample)) for sample in range(3)]
    assert len(set(digests)) == 3
    assert request_digest(answered()) == digests[1]


def test_an_answers_tokens_are_kept_as_ids_or_as_text_with_their_logprobs() -> None:
    top = (Candidate(None, "No", b"No", -2.0),)
    exchange = answered(tokens=(Token(None, "Because.", b"Because.", -0.1, top),), completion_tokens=2)
    assert exchange.extra == {
        "prompt_id": "p",
        "sample": 1,
        "finish": "stop",
        "pieces": ["Because."],
        "logprobs": [-0.1],
        "top": [[["No", -2.0]]],
    }
    assert exchange.latency_ms == 250.0
    assert answered(tokens=(Token(5, "Because.", b"Because."),)).extra["tokens"] == [5]


def test_reasoning_that_the_server_tells_apart_is_kept_apart() -> None:
    assert answered(reasoning="Well.").reasoning == "Well."
    exchange = answered(text="<think>Well.</think>Because.")
    assert (exchange.reasoning, exchange.completion) == ("Well.", "Because.")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>a b</think>\n\nc", ("a b", "c")),
        (" <think>\na\n</think>c", ("a", "c")),
        ("<think>never ends", (None, "<think>never ends")),
        ("c <think>a</think>", (None, "c <think>a</think>")),
    ],
)
def test_reasoning_in_tags_is_taken_out(text: str, parts: tuple[str | None, str]) -> None:
    assert split_reasoning(text) == parts
