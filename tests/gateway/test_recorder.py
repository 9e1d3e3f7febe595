from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.errors import ResourceError
from spiritsafe.gateway.call import Call
from spiritsafe.gateway.enforce.gate import Gate, Permit
from spiritsafe.gateway.enforce.roster import Roster, Seat, Tenant
from spiritsafe.gateway.enforce.usage import Book
from spiritsafe.gateway.faults import Fault, Ruling
from spiritsafe.gateway.recorder import Recorder, tokens_in
from spiritsafe.gateway.settings import LimitSettings, ThrottleSettings, TrustSettings
from spiritsafe.gateway.wire import CHAT
from spiritsafe.gateway.wire.types import ToolCall
from spiritsafe.record.identity import Pseudonymizer
from spiritsafe.record.log import SealedLog
from spiritsafe.record.reader import read
from spiritsafe.store import Store, open_store


class Desk:
    """A recorder with all it needs, and calls for it."""

    def __init__(self, folder: Path, store: Store, log: SealedLog, content: Any = "full") -> None:
        account = store.add_account("a", payment="hashed")
        key, _ = store.add_key(account.account_id)
        self.grant = store.add_grant(account.account_id, model="*", purpose="distil", by="me")
        self.seat = Seat(key, Tenant(account))
        self.folder, self.log = folder, log
        self.book = Book(store, folder)
        self.names = Pseudonymizer(b"k" * 32)
        roster = Roster(store, self.book)
        self.gate = Gate(roster, self.book, LimitSettings(), ThrottleSettings())
        self.recorder = Recorder(log, self.gate, self.book, self.names, TrustSettings(), content)

    def call(self, heard: str = "Slowly.", **fields: Any) -> Call:
        headers = [(b"user-agent", b"test"), (b"x-session-id", b"s1")]
        call = Call(CHAT, {"headers": headers, "client": ("203.0.113.9", 1), "path": CHAT.path})
        call.ask = CHAT.ask({"model": "m", "messages": [{"role": "user", "content": "How?"}], **fields})
        call.seat, call.reached = self.seat, True
        call.permit = Permit(self.seat, None, None, 0)
        if heard:
            call.answer.choice(0).text.append(heard)
        return call

    def rows(self) -> list[Any]:
        return [exchange for _, exchange in read(self.folder / "record")]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_store(f"sqlite:///{tmp_path / 's.db'}") as store, SealedLog.open(tmp_path / "record") as log:
        yield Desk(tmp_path, store, log)


async def test_an_exchange_is_durable_when_writing_returns(desk: Desk) -> None:
    call = desk.call(user="ada", temperature=0.5, other=1)
    assert call.permit is not None
    call.permit.grant = desk.grant
    call.answer.id, call.answer.model = "c1", "m-2026"
    call.answer.prompt_tokens, call.answer.completion_tokens, call.answer.reasoning_tokens = 3, 4, 1
    assert await desk.recorder.write(call, 200) == 0
    (row,) = desk.rows()
    assert (row.exchange_id, row.account_id, row.key_id) == (call.id, desk.seat.key.account_id, desk.seat.key.key_id)
    assert (row.time, row.status, row.grant_id) == (call.time, 200, desk.grant.grant_id)
    assert (row.prompt_tokens, row.completion_tokens, row.reasoning_tokens) == (3, 4, 1)
    assert (row.payment, row.session) == ("hashed", desk.names.of("session", "s1"))
    assert row.extra == {
        "other": 1,
        "response_id": "c1",
        "response_model": "m-2026",
        "user": desk.names.of("user", "ada"),
    }
    assert (call.recorded, call.tokens) == (True, 7)
    assert desk.book.keys.used(desk.seat.key.key_id) == (1, 7)


async def test_what_failed_is_recorded_with_its_reason_and_counts_for_nothing(desk: Desk) -> None:
    ruling = Ruling("dec_1", "suspend", ("why",), "http://x")
    call = desk.call("")
    call.reached = False
    await desk.recorder.write(call, 403, Fault("suspend", "x", remedy="y", ruling=ruling))
    (row,) = desk.rows()
    assert (row.status, row.completion, row.prompt_tokens) == (403, None, 0)
    assert (row.extra["fault"], row.extra["decision_id"]) == ("suspend", "dec_1")
    assert call.tokens is None
    assert desk.book.keys.used(desk.seat.key.key_id) == (0, 0)


async def test_tool_calls_and_further_choices_stand_as_turns(desk: Desk) -> None:
    call = desk.call(n=2)
    first, second = call.answer.choice(0), call.answer.choice(1)
    first.calls.append(ToolCall("t", "look", "{}"))
    call.answer.finish(first, "tool_calls")
    second.text.append("Or so.")
    await desk.recorder.write(call, 200)
    (row,) = desk.rows()
    assert row.extra["answers"] == 2
    assert row.messages[1].extra["tool_calls"][0]["function"] == {"name": "look", "arguments": "{}"}
    assert row.messages[2].content == "Or so."
    assert row.completion == "Slowly."


async def test_without_text_settings_lose_theirs_too(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 's.db'}") as store, SealedLog.open(tmp_path / "record") as log:
        desk = Desk(tmp_path, store, log, "none")
        call = desk.call(temperature=0.5, stop=["secret"], note="secret", deep={"a": "secret"}, nothing=None)
        found = desk.recorder.exchange(call, 200)
        assert not desk.recorder.keeps_text
    assert found.params == {"temperature": 0.5, "stop": "list of 1"}
    assert found.extra["note"] == "str of 6"
    assert found.extra["nothing"] == "NoneType"
    assert "secret" not in str((found.params, found.extra))


async def test_those_that_come_together_are_written_as_one_group(desk: Desk) -> None:
    desk.gate.in_flight = 50
    calls = [desk.call(f"answer {i}") for i in range(50)]
    rows = await asyncio.gather(*(desk.recorder.write(call, 200) for call in calls))
    assert sorted(rows) == list(range(50))
    assert {row.exchange_id for row in desk.rows()} == {call.id for call in calls}
    assert desk.book.keys.used(desk.seat.key.key_id)[0] == 50


async def test_one_that_is_cut_off_while_it_is_written_is_written_all_the_same(desk: Desk) -> None:
    call = desk.call()
    task = asyncio.create_task(desk.recorder.write(call, 200))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert call.recorded
    await desk.recorder.write(desk.call(), 200)
    assert len(desk.rows()) == 2
    assert desk.book.keys.used(desk.seat.key.key_id)[0] == 2


async def test_one_that_is_cut_off_while_it_waits_for_others_is_written_too(desk: Desk) -> None:
    desk.gate.in_flight = 50
    call = desk.call()
    task = asyncio.create_task(desk.recorder.write(call, 200))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await desk.recorder.write(desk.call(), 200)
    assert len(desk.rows()) == 2
    assert desk.book.keys.used(desk.seat.key.key_id)[0] == 2


async def test_what_nobody_waits_for_is_written_too(desk: Desk) -> None:
    desk.recorder.submit(desk.call(), 503, Fault("shutting_down", "x", remedy="y"))
    desk.log.close()
    assert [row.status for row in desk.rows()] == [503]


@pytest.mark.parametrize("crowd", [0, 50])
async def test_what_can_not_be_recorded_is_refused_without_harm_to_others(desk: Desk, crowd: int) -> None:
    desk.gate.in_flight = crowd
    deep: Any = "bottom"
    for _ in range(5000):
        deep = [deep]
    bad, good = desk.call(), desk.call()
    assert bad.ask is not None
    bad.ask.extra = {"deep": deep}
    outcomes = await asyncio.gather(
        desk.recorder.write(bad, 200), desk.recorder.write(good, 200), return_exceptions=True
    )
    assert isinstance(outcomes[0], Fault)
    assert (outcomes[0].reason, outcomes[1]) == ("invalid_request", 0)
    assert desk.recorder.trouble is None


@pytest.mark.parametrize("crowd", [0, 50])
async def test_a_record_that_takes_nothing_refuses_and_tells_the_next_at_once(desk: Desk, crowd: int) -> None:
    desk.recorder.check()
    desk.gate.in_flight = crowd
    desk.log.close()
    with pytest.raises(Fault) as caught:
        await desk.recorder.write(desk.call(), 200)
    assert (caught.value.reason, caught.value.status) == ("record_unwritable", 503)
    assert isinstance(desk.recorder.trouble, ResourceError)
    with pytest.raises(Fault):
        desk.recorder.check()
    with pytest.raises(Fault):
        desk.recorder.submit(desk.call(), 503, Fault("shutting_down", "x", remedy="y"))


def test_tokens_are_guessed_from_length() -> None:
    assert [tokens_in(n) for n in (0, 1, 4, 5)] == [0, 1, 1, 2]
