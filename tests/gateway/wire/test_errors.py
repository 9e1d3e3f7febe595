from __future__ import annotations

import json

import pytest

from spiritsafe.gateway.faults import KINDS, Fault, Ruling
from spiritsafe.gateway.wire import errors

RULING = Ruling("dec_1", "suspend", ("nine in ten prompts ask for reasoning",), "http://here/appeals")


def fault(reason: str = "invalid_key", **more: object) -> Fault:
    return Fault(reason, "what went wrong", remedy="Do this.", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", sorted(KINDS))
def test_every_reason_has_both_shapes(reason: str) -> None:
    ours = json.loads(errors.body(fault(reason), "openai", "ex_1"))
    assert set(ours["error"]) == {"type", "message", "code", "param"}
    assert ours["error"]["code"] == reason
    theirs = json.loads(errors.body(fault(reason), "anthropic", "ex_1"))
    assert (theirs["type"], theirs["request_id"]) == ("error", "ex_1")
    assert theirs["error"]["type"] == KINDS[reason].anthropic
    assert theirs["error"]["message"] == "what went wrong. Do this."


def test_a_decision_comes_with_its_reasons_and_where_to_appeal() -> None:
    decision = json.loads(errors.body(fault("suspend", ruling=RULING), "openai", "ex_1"))["error"]["decision"]
    assert decision["id"] == "dec_1"
    assert decision["reasons"] == ["nine in ten prompts ask for reasoning"]
    assert decision["appeal"] == {"method": "POST", "url": "http://here/appeals", "body": ["decision_id", "text"]}


def test_an_upstreams_own_code_and_parameter_stay() -> None:
    mistake = fault("upstream_rejected", status=422, detail={"code": "context_length_exceeded", "param": "messages"})
    body = json.loads(errors.body(mistake, "openai", "ex_1"))["error"]
    assert (body["code"], body["param"], mistake.status) == ("context_length_exceeded", "messages", 422)


def test_a_wait_is_told_in_whole_seconds_and_never_as_none() -> None:
    assert errors.headers(fault()) == []
    assert errors.headers(fault("busy", retry_after=0.01)) == [(b"retry-after", b"1")]
    assert errors.headers(fault("busy", retry_after=2.1)) == [(b"retry-after", b"3")]


def test_in_a_stream_each_api_has_its_own_event() -> None:
    assert errors.event(fault(), "openai", "chat", "ex_1").startswith(b'data: {"error":')
    assert errors.event(fault(), "anthropic", "messages", "ex_1").startswith(b'event: error\ndata: {"type":"error"')
    named, data = errors.event(fault(), "openai", "responses", "ex_1").decode().strip().split("\n")
    payload = json.loads(data.removeprefix("data: "))
    assert named == "event: error"
    assert (payload["type"], payload["code"]) == ("error", "invalid_key")
    assert payload["error"]["message"]
