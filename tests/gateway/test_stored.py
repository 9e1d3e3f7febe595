from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import openai
import pytest

from spiritsafe.record.prune import prune

ASKED: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How?", "name": "ada"}]


@pytest.fixture
def client(stand: Any, upstream: Any) -> Any:
    """A client of an account of its own, so that its list begins empty; each answer has an id of its own."""
    numbers = iter(range(1000))

    def script(_path: str, body: Any) -> Any:
        number = next(numbers)
        answer = {**upstream.chat(f"answer {number}"), "id": f"{stand.key.key_id}-{number}"}
        if body.get("stream"):
            pieces = [
                {**upstream.chunk({"content": f"answer {number}"}), "id": answer["id"]},
                upstream.chunk({}, "stop"),
            ]
            return upstream.Events(upstream.data(*pieces, "[DONE]"))
        return upstream.Whole(answer)

    upstream.script = script
    account = stand.store.add_account("keeper")
    return stand.openai(stand.store.add_key(account.account_id)[1])


def make(client: openai.OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(model="m", messages=ASKED, **{"store": True, **fields})


def test_a_stored_completion_is_fetched_as_it_was_given(client: Any) -> None:
    made = make(client, metadata={"topic": "stills"}, temperature=0.5)
    found = client.chat.completions.retrieve(made.id)
    assert found.choices[0].message.content == made.choices[0].message.content
    assert (found.choices[0].finish_reason, found.usage.total_tokens) == ("stop", 10)
    assert (found.metadata, found.temperature) == ({"topic": "stills"}, 0.5)


def test_streamed_and_many_and_called_ones_too(client: Any, upstream: Any) -> None:
    chunks = list(make(client, stream=True))
    assert client.chat.completions.retrieve(chunks[0].id).choices[0].message.content.startswith("answer")
    call = {"id": "t", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    whole = {**upstream.chat("", tool_calls=[call]), "id": "called"}
    whole["choices"].append({"index": 1, "message": {"role": "assistant", "content": "or"}, "finish_reason": "length"})
    upstream.says(whole)
    make(client, n=2)
    found = client.chat.completions.retrieve("called")
    assert found.choices[0].message.tool_calls[0].function.name == "look"
    assert (found.choices[1].message.content, found.choices[1].finish_reason) == ("or", "length")
    assert len(client.chat.completions.messages.list("called").data) == 2


def test_the_messages_that_it_answered_are_listed(client: Any) -> None:
    listed = client.chat.completions.messages.list(make(client).id).data
    assert [(m.role, m.content) for m in listed] == [("system", "Be brief."), ("user", "How?")]
    assert listed[1].name == "ada"
    assert len({m.id for m in listed}) == 2


def test_only_what_was_to_be_stored_is_listed_page_by_page(client: Any) -> None:
    made = [make(client, metadata={"n": str(n)}).id for n in range(3)]
    make(client, store=False)
    first = client.chat.completions.list(limit=2)
    assert ([c.id for c in first.data], first.has_more) == (made[:2], True)
    assert [c.id for c in client.chat.completions.list(limit=2)] == made  # the client turns the pages
    assert [c.id for c in client.chat.completions.list(order="desc", limit=1).data] == made[2:]
    assert [c.id for c in client.chat.completions.list(metadata={"n": "1"}).data] == made[1:2]
    assert client.chat.completions.list(model="another").data == []


def test_metadata_is_replaced(client: Any) -> None:
    made = make(client, metadata={"a": "1"})
    assert client.chat.completions.update(made.id, metadata={"b": "2"}).metadata == {"b": "2"}
    assert client.chat.completions.retrieve(made.id).metadata == {"b": "2"}


def test_what_is_deleted_is_gone_here_and_stays_sealed(client: Any, stand: Any) -> None:
    made = make(client)
    deleted = client.chat.completions.delete(made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    for call in (
        client.chat.completions.retrieve,
        client.chat.completions.delete,
        client.chat.completions.messages.list,
    ):
        with pytest.raises(openai.NotFoundError):
            call(made.id)
    assert stand.exchanges()[0].extra["response_id"] == made.id


def test_another_account_sees_nothing_of_it(client: Any, stand: Any) -> None:
    made = make(client)
    stranger = stand.openai(stand.store.add_key(stand.store.add_account("stranger").account_id)[1])
    with pytest.raises(openai.NotFoundError):
        stranger.chat.completions.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        stranger.chat.completions.update(made.id, metadata={})
    with pytest.raises(openai.NotFoundError):
        stranger.chat.completions.delete(made.id)
    assert stranger.chat.completions.list().data == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "?limit=0", None, 400),
        ("GET", "?limit=x", None, 400),
        ("POST", "/none", {"metadata": 3}, 400),
        ("POST", "/none", {}, 400),
        ("POST", "/none", {"metadata": {}}, 404),
        ("PUT", "/none", {}, 405),
        ("GET", "/a/b/c", None, 405),
    ],
)
def test_strange_requests_are_refused(stand: Any, method: str, path: str, body: Any, status: int) -> None:
    found, answer, _ = stand.call(method, f"/v1/chat/completions{path}", body)
    assert found == status
    assert answer["error"]["message"]


def test_without_a_key_nothing_is_shown(stand: Any) -> None:
    status, _, _ = stand.call("GET", "/v1/chat/completions", authorization="Bearer ssk_none")
    assert status == 401


def test_a_completion_whose_text_was_pruned_says_so(make_stand: Any) -> None:
    stand = make_stand()
    made = make(stand.openai())
    stand.parts.log.roll()
    prune(stand.settings.folder / "record", datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(openai.NotFoundError, match="pruned"):
        stand.openai().chat.completions.retrieve(made.id)
    assert stand.openai().chat.completions.list().data == []
