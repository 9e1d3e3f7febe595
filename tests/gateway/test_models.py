from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from spiritsafe.gateway.settings import UpstreamSettings


def test_models_are_those_of_the_upstream(stand: Any) -> None:
    client = stand.openai()
    assert [model.id for model in client.models.list()] == ["m"]
    assert client.models.retrieve("m").id == "m"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("none")
    assert caught.value.code == "unknown_model"
    assert stand.exchanges() == []


def test_each_upstream_shows_those_that_are_routed_to_it(make_stand: Any, upstream: Any) -> None:
    both = [{"id": "small-1", "object": "model"}, {"id": "large-1", "object": "model"}, {"object": "nameless"}]
    upstream.says({"object": "list", "data": both})
    before = tuple(
        UpstreamSettings(url=upstream.url, name=name, models=(f"{name}-*",), speaks=("chat",))
        for name in ("large", "small")
    )
    stand = make_stand(upstreams=before)
    assert [model.id for model in stand.openai().models.list()] == ["large-1", "small-1"]


def test_a_key_is_needed_and_only_get_is_served(stand: Any) -> None:
    with pytest.raises(openai.AuthenticationError):
        stand.openai("ssk_none").models.list()
    with pytest.raises(anthropic.AuthenticationError):
        stand.anthropic("ssk_none").models.list()
    assert stand.call("POST", "/v1/models", {})[0] == 405


@pytest.mark.parametrize("answer", [{"status": 500, "body": {}}, {"body": b"<html>"}, {"body": b"[]"}])
def test_an_upstream_without_a_list(stand: Any, upstream: Any, answer: dict[str, Any]) -> None:
    upstream.says(upstream.Whole(**answer))
    status, found, _ = stand.call("GET", "/v1/models")
    if answer["body"] == b"[]":
        assert (status, found["data"]) == (200, [])
    else:
        assert (status, found["error"]["code"]) == (502, "upstream_nonsense")
