from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import openai
import pytest

from spiritsafe.store import Account, Decision, new_id


class Accused:
    """An account of its own at the shared gateway, with a decision about it."""

    def __init__(self, stand: Any, action: str) -> None:
        self.stand = stand
        self.account: Account = stand.store.add_account("accused")
        _, self.secret = stand.store.add_key(self.account.account_id)
        about = self.account.account_id
        self.decision = stand.store.decide(
            Decision(
                decision_id=new_id("dec"),
                time=datetime.now(UTC),
                subject=about,
                subject_kind="account",
                accounts=(about,),
                action=action,  # type: ignore[arg-type]
                rule="r",
                reasons=("nine in ten prompts ask for reasoning",),
                evidence=(),
                by="policy:1",
                status="in_force",
            )
        )

    def ask(self) -> Any:
        client = self.stand.openai(self.secret)
        return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "How?"}])

    def appeal(self, **body: Any) -> tuple[int, Any, Any]:
        given = {"decision_id": self.decision.decision_id, "text": "These are our own exam questions."}
        headers = {"authorization": f"Bearer {self.secret}"}
        found: tuple[int, Any, Any] = self.stand.call("POST", "/appeals", {**given, **body}, **headers)
        return found


def test_the_refused_are_told_why_and_how_to_object_and_are_heard(stand: Any) -> None:
    accused = Accused(stand, "suspend")
    with pytest.raises(openai.PermissionDeniedError) as caught:
        accused.ask()
    assert caught.value.code == "suspend"
    ruling: Any = caught.value.body
    assert ruling["decision"]["reasons"] == ["nine in ten prompts ask for reasoning"]
    assert ruling["decision"]["appeal"]["url"] == f"{stand.url}/appeals"
    status, taken, _ = accused.appeal()
    assert (status, taken["status"]) == (201, "in_force")
    decision = stand.store.decision(accused.decision.decision_id)
    assert decision.appeal == "These are our own exam questions."
    assert stand.store.case(taken["case_id"]).status == "open"
    with pytest.raises(openai.PermissionDeniedError):  # until a person has read it
        accused.ask()
    stand.store.reverse(decision.decision_id, "ada", "they are right")
    assert accused.ask().choices


def test_a_refusal_by_decision_is_recorded_as_evidence(stand: Any) -> None:
    accused = Accused(stand, "verify")
    with pytest.raises(openai.PermissionDeniedError):
        accused.ask()
    (exchange,) = stand.exchanges()
    assert (exchange.status, exchange.extra["fault"]) == (403, "verify")
    assert exchange.extra["decision_id"] == accused.decision.decision_id
    assert (exchange.account_id, exchange.completion) == (accused.account.account_id, None)
    assert exchange.messages[0].content == "How?"


@pytest.mark.parametrize(("action", "told"), [("notify", True), ("observe", False)])
def test_milder_decisions_are_told_in_headers_or_not_at_all(stand: Any, action: str, told: bool) -> None:
    accused = Accused(stand, action)
    headers = {"authorization": f"Bearer {accused.secret}"}
    body = {"model": "m", "messages": [{"role": "user", "content": "How?"}]}
    status, _, got = stand.call("POST", "/v1/chat/completions", body, **headers)
    assert status == 200
    assert got.get("x-spiritsafe-decision") == (accused.decision.decision_id if told else None)
    assert ("x-spiritsafe-appeal" in got) is told


def test_what_is_withheld_leaves_neither_whole_nor_in_a_stream_and_is_recorded(stand: Any, upstream: Any) -> None:
    accused = Accused(stand, "withhold")
    whole = upstream.chat("Slowly.", reasoning_content="Because.")
    whole["choices"][0]["logprobs"] = {"content": []}
    upstream.says(whole)
    answer = accused.ask()
    assert (answer.choices[0].message.content, answer.choices[0].logprobs) == ("Slowly.", None)
    assert not hasattr(answer.choices[0].message, "reasoning_content")
    said = upstream.chunk({"content": "Slowly.", "reasoning_content": "Because."})
    upstream.streams(upstream.data(said, upstream.chunk({}, "stop"), "[DONE]"))
    client = stand.openai(accused.secret)
    messages: Any = [{"role": "user", "content": "How?"}]
    chunks = list(client.chat.completions.create(model="m", messages=messages, stream=True))
    assert chunks[0].choices[0].delta.content == "Slowly."
    assert not any("Because" in chunk.model_dump_json() for chunk in chunks)
    with stand.anthropic(accused.secret).messages.stream(model="m", max_tokens=9, messages=messages) as stream:
        assert [block.type for block in stream.get_final_message().content] == ["text"]
    assert [exchange.reasoning for exchange in stand.exchanges()] == ["Because."] * 3


def test_anothers_decision_and_one_that_is_not_look_the_same(stand: Any) -> None:
    accused, other = Accused(stand, "verify"), Accused(stand, "verify")
    answers = [
        accused.appeal(decision_id=other.decision.decision_id)[:2],
        accused.appeal(decision_id="dec_none")[:2],
    ]
    assert [status for status, _ in answers] == [404, 404]
    assert answers[0][1]["error"]["message"] == answers[1][1]["error"]["message"]


@pytest.mark.parametrize("body", [{"text": ""}, {"text": 3}, {"decision_id": None}])
def test_an_appeal_that_says_nothing_is_refused(stand: Any, body: dict[str, Any]) -> None:
    assert Accused(stand, "verify").appeal(**body)[0] in (400, 404)


def test_appeals_need_a_key_and_a_post_and_some_patience(stand: Any) -> None:
    accused = Accused(stand, "verify")
    assert stand.call("GET", "/appeals")[0] == 405
    assert stand.call("POST", "/appeals", {}, authorization="Bearer ssk_none")[0] == 401
    found = [accused.appeal()[0] for _ in range(11)]
    assert found == [201] * 10 + [429]
