from __future__ import annotations

from typing import Any

import openai
import pytest

from spiritsafe.gateway.release import SEALED
from spiritsafe.protect.release import Release, Releases

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "why copper?"}]}
THOUGHT = "Copper conducts heat. It also binds sulphur. That is why."
LOGPROBS = {"content": [{"token": "Copper", "logprob": -0.71, "bytes": None, "top_logprobs": []}]}


def thinking(upstream: Any, *, stream: bool = False) -> None:
    """Let the model think aloud before it answers."""

    def script(path: str, body: dict[str, Any]) -> Any:
        if not body.get("stream"):
            told = upstream.chat("It conducts.", reasoning_content=THOUGHT)
            told["choices"][0]["logprobs"] = LOGPROBS if body.get("logprobs") else None
            return upstream.Whole(told)
        halves = THOUGHT[:20], THOUGHT[20:]
        pieces = [upstream.chunk({"role": "assistant", "reasoning_content": half}) for half in halves]
        pieces += [upstream.chunk({"content": word}) for word in ("It", " conducts.")]
        return upstream.Events(upstream.data(*pieces, upstream.chunk({}, "stop"), "[DONE]"))

    upstream.script = script


def asked(stand: Any, stream: bool = False, session: str = "s1", **fields: Any) -> tuple[str, dict[str, Any]]:
    """The answer's text, and whatever else its message or deltas held."""
    client = stand.openai(default_headers={"x-session-id": session})
    given = {**ASK, **fields}
    if not stream:
        choice = client.chat.completions.create(**given).choices[0]
        return choice.message.content, choice.message.model_dump() | {"logprobs": choice.logprobs}
    text, rest = "", {}
    for chunk in client.chat.completions.create(**given, stream=True):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            rest |= {k: v for k, v in choice.delta.model_dump().items() if v}
    return text, rest


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["shown", "withheld", "summarised", "sealed"])
def test_reasoning_leaves_as_it_may_and_is_recorded_whole(make_stand, upstream, how: str, stream: bool) -> None:
    thinking(upstream)
    stand = make_stand(release=Releases(default=Release(reasoning=how)))  # type: ignore[arg-type]
    text, rest = asked(stand, stream)
    assert text == "It conducts."
    assert stand.exchanges()[-1].reasoning == THOUGHT
    said = str(rest)
    assert (THOUGHT[20:] in said) == (how == "shown")
    assert (SEALED in rest) == (how == "sealed")
    assert ("more characters" in said) == (how == "summarised")


def test_sealed_reasoning_opens_for_the_next_turn_and_nowhere_else(make_stand, upstream) -> None:
    thinking(upstream)
    stand = make_stand(release=Releases(default=Release(reasoning="sealed")))
    blob = asked(stand)[1][SEALED]

    def back(session: str = "s1", secret: str | None = None, **change: Any) -> None:
        turns = [
            *ASK["messages"],
            {"role": "assistant", "content": "It conducts.", SEALED: blob},
            {"role": "user", "content": "and tin?"},
        ]
        client = stand.openai(secret, default_headers={"x-session-id": session})
        client.chat.completions.create(**{"model": "m", "messages": turns, **change})

    back()
    sent = upstream.bodies()[-1]["messages"][1]
    assert (sent["reasoning_content"], SEALED in sent) == (THOUGHT, False)
    other = stand.store.add_key(stand.store.add_account("other").account_id)[1]
    earlier = {"role": "assistant", "content": "Hm."}
    shifted = [ASK["messages"][0], earlier, {"role": "assistant", "content": "It conducts.", SEALED: blob}]
    for attempt in (
        lambda: back(session="s2"),
        lambda: back(secret=other),
        lambda: back(model="m2"),
        lambda: back(messages=shifted),
    ):
        calls = len(upstream.calls)
        with pytest.raises(openai.BadRequestError, match="does not belong here"):
            attempt()
        assert len(upstream.calls) == calls


def test_log_probabilities_are_coarse_and_never_together_with_logit_bias(make_stand, upstream) -> None:
    thinking(upstream)
    stand = make_stand(release=Releases(default=Release(logprobs="coarse", step=0.5, n=2)))
    told = asked(stand, logprobs=True)[1]["logprobs"]
    assert told.content[0].logprob == -0.5
    with pytest.raises(openai.BadRequestError, match="not given together"):
        asked(stand, logprobs=True, logit_bias={"5": 1})
    with pytest.raises(openai.BadRequestError, match="at most 2 answers"):
        asked(stand, n=3)
    assert stand.exchanges()[-1].extra["fault"] == "not_released"


def test_other_apis_get_less_rather_than_more(make_stand, upstream) -> None:
    thinking(upstream)
    stand = make_stand(release=Releases(default=Release(reasoning="sealed")))
    message = stand.anthropic().messages.create(model="m", max_tokens=9, messages=ASK["messages"])
    assert [block.type for block in message.content] == ["text"]


def test_a_tenants_own_release_holds_for_that_tenant_alone(make_stand, upstream) -> None:
    thinking(upstream)
    stand = make_stand(release=Releases(watched=Release(reasoning="withheld"), tenants={"other": Release(n=1)}))
    assert THOUGHT in str(asked(stand)[1])
    own = Releases(tenants={stand.account.account_id: Release(reasoning="withheld")})
    assert own.of(stand.account.account_id, watched=False).reasoning == "withheld"


def test_without_settings_not_a_byte_is_touched(make_stand, upstream) -> None:
    thinking(upstream)
    stand = make_stand()
    assert not (stand.settings.folder / "keys" / "reasoning.key").exists()
    assert THOUGHT in str(asked(stand)[1])
