from __future__ import annotations

import asyncio

import pytest

from spiritsafe.distill.batch_api import BatchApi
from spiritsafe.errors import ResourceError
from spiritsafe.teach.types import Unwell


def test_a_file_goes_up_a_batch_is_made_and_its_answers_come_down(batch_server) -> None:
    api = BatchApi(batch_server.url, {"authorization": "Bearer k"})
    lines = b'{"custom_id": "1", "body": {"messages": [{"content": "hello"}]}}\n'
    file_id = api.upload(lines, "mark")
    assert batch_server.files[file_id] == lines
    batch = api.create(file_id, "mark", "24h")
    assert not batch.ended
    batch_server.polls = 1
    ended = api.get(batch.id)
    assert (ended.ended, ended.status, ended.error_file_id) == (True, "completed", None)
    assert b"HELLO" in api.content(ended.output_file_id or "")


def test_a_batch_is_found_again_by_its_mark_on_any_page(batch_server) -> None:
    api = BatchApi(batch_server.url, {})
    file_id = api.upload(b"", "x")
    made = {mark: api.create(file_id, mark, "24h").id for mark in ("a", "b", "c", "d", "e")}
    assert {mark: found.id for mark in made if (found := api.find(mark))} == made
    assert api.find("f") is None


def test_a_server_that_is_not_well_may_be_asked_again(batch_server) -> None:
    batch_server.unwell = 1
    with pytest.raises(Unwell, match="try later"):
        BatchApi(batch_server.url, {}).find("a")
    with pytest.raises(Unwell, match="can't be reached"):
        BatchApi("http://127.0.0.1:9/v1", {}).get("a")


def test_what_is_no_batch_is_told_from_one(batch_server) -> None:
    batch_server.files["file-0"] = b"["
    with pytest.raises(Unwell, match="no JSON object"):
        BatchApi(batch_server.url, {}).get("../files/file-0/content")
    batch_server.files["file-0"] = b'{"id": 3}'
    with pytest.raises(Unwell, match="no batch"):
        BatchApi(batch_server.url, {}).get("../files/file-0/content")


async def test_it_can_be_called_from_inside_an_event_loop(batch_server) -> None:
    assert BatchApi(batch_server.url, {}).find("a") is None
    await asyncio.sleep(0)


def test_a_request_that_will_never_do_is_another_error() -> None:
    with pytest.raises((ResourceError, ValueError)):
        BatchApi("http://", {}).get("a")
