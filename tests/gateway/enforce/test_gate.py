from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.gateway.enforce.gate import Gate
from spiritsafe.gateway.enforce.roster import Roster, Seat
from spiritsafe.gateway.enforce.usage import Book, Line
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.settings import LimitSettings, ThrottleSettings
from spiritsafe.store import Account, Decision, Limits, Store, new_id, open_store

URL = "http://here/appeals"


class Door:
    """A gate with its book and its store, and one account."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.book = Book(store, folder)
        self.roster = Roster(store, self.book)
        self.gate = Gate(self.roster, self.book, LimitSettings(in_flight=5, in_flight_per_key=3), ThrottleSettings())
        self.account: Account = store.add_account("a")

    async def seat(self, **limits: int) -> Seat:
        _, secret = self.store.add_key(self.account.account_id, limits=Limits(**limits))
        return await self.enter(secret)

    async def enter(self, secret: str) -> Seat:
        return await self.gate.seat({b"authorization": b"Bearer " + secret.encode()}, now())

    def admit(self, seat: Seat, model: str | None = "m", tokens: int = 0) -> Any:
        return self.gate.admit(seat, model, tokens, now(), URL)

    def refused(self, seat: Seat, **options: Any) -> Fault:
        with pytest.raises(Fault) as caught:
            self.admit(seat, **options)
        return caught.value

    def decide(self, action: str, **fields: Any) -> Decision:
        about = self.account.account_id
        given = {"decision_id": new_id("dec"), "time": now(), "subject": about, "subject_kind": "account"}
        given |= {"accounts": (about,), "action": action, "rule": "r", "reasons": ("why",), "evidence": ()}
        return self.store.decide(Decision(**{**given, "by": "policy:1", "status": "in_force", **fields}))


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with open_store(f"sqlite:///{tmp_path / 's.db'}") as store:
        yield Door(store, tmp_path)


async def test_a_key_is_taken_from_either_header(door: Door) -> None:
    key, secret = door.store.add_key(door.account.account_id)
    for headers in ({b"authorization": f"bearer  {secret} ".encode()}, {b"x-api-key": secret.encode()}):
        assert (await door.gate.seat(headers, now())).key.key_id == key.key_id


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "missing_key"),
        ({b"authorization": b"Basic abc"}, "missing_key"),
        ({b"authorization": b"Bearer ssk_nobody"}, "invalid_key"),
        ({b"x-api-key": b"\xff"}, "invalid_key"),
    ],
)
async def test_without_a_known_key_nobody_enters(door: Door, headers: dict[bytes, bytes], reason: str) -> None:
    with pytest.raises(Fault) as caught:
        await door.gate.seat(headers, now())
    assert (caught.value.reason, caught.value.status) == (reason, 401)


async def test_a_revoked_and_an_expired_key_say_so_at_once(door: Door) -> None:
    key, secret = door.store.add_key(door.account.account_id)
    await door.enter(secret)
    door.store.revoke_key(key.key_id)
    with pytest.raises(Fault) as caught:
        await door.enter(secret)
    assert caught.value.reason == "revoked_key"
    _, secret = door.store.add_key(door.account.account_id, expires=now() + timedelta(hours=1))
    await door.enter(secret)
    with pytest.raises(Fault) as caught:
        await door.gate.seat({b"x-api-key": secret.encode()}, now() + timedelta(hours=2))
    assert caught.value.reason == "expired_key"


@pytest.mark.parametrize("action", ["verify", "suspend"])
async def test_verify_and_suspend_refuse_with_reasons_and_the_way_to_appeal(door: Door, action: str) -> None:
    made = door.decide(action)
    fault = door.refused(await door.seat())
    assert (fault.reason, fault.status) == (action, 403)
    assert fault.ruling == (made.decision_id, action, ("why",), URL)


@pytest.mark.parametrize(("action", "withhold"), [("observe", False), ("notify", False), ("withhold", True)])
async def test_milder_decisions_let_in(door: Door, action: str, withhold: bool) -> None:
    made = door.decide(action)
    permit = door.admit(await door.seat())
    assert permit.withhold is withhold
    known = None if action == "observe" else made.decision_id  # whoever is only observed is not told
    assert (permit.decision.decision_id if permit.decision else None) == known


async def test_throttling_leaves_a_trickle_to_the_account_whatever_key_it_takes(door: Door) -> None:
    door.decide("throttle")
    seats = [await door.seat(), await door.seat()]
    for number in range(6):
        door.gate.leave(door.admit(seats[number % 2]), 0)
    fault = door.refused(seats[0])
    assert (fault.reason, fault.status) == ("throttle", 429)
    assert fault.ruling is not None
    assert 0 < (fault.retry_after or 0) <= 10


async def test_a_throttled_account_has_one_request_at_a_time(door: Door) -> None:
    door.decide("throttle")
    seat = await door.seat()
    permit = door.admit(seat)
    assert door.refused(seat).reason == "throttle"
    door.gate.leave(permit, 0)
    door.admit(seat)


async def test_a_grant_is_read_before_a_policys_decision(door: Door) -> None:
    door.decide("suspend")
    grant = door.store.add_grant(door.account.account_id, model="small-*", purpose="distil", by="me")
    seat = await door.seat()
    permit = door.admit(seat, model="small-1")
    assert (permit.grant.grant_id, permit.decision) == (grant.grant_id, None)
    assert door.refused(seat, model="large").reason == "suspend"
    assert door.refused(seat, model=None).reason == "suspend"
    door.store.revoke_grant(grant.grant_id)
    assert door.refused(await door.seat(), model="small-1").reason == "suspend"


async def test_what_a_person_decided_binds_under_a_grant_too(door: Door) -> None:
    door.store.add_grant(door.account.account_id, model="*", purpose="distil", by="me")
    pending = door.decide("suspend", status="pending", needs_person=True)
    assert door.admit(await door.seat()).grant is not None
    door.store.confirm(pending.decision_id, "ada", "looked at it")
    assert door.refused(await door.seat()).reason == "suspend"
    door.store.reverse(pending.decision_id, "ada", "was wrong")
    door.decide("verify", by="ada")
    assert door.refused(await door.seat()).reason == "verify"


async def test_a_grant_whose_quota_is_used_up_here_covers_no_longer(door: Door) -> None:
    door.decide("suspend")
    grant = door.store.add_grant(door.account.account_id, model="*", purpose="distil", by="me", quota_tokens=10)
    seat = await door.seat()
    door.gate.leave(door.admit(seat), 10)
    door.book.note(Line(seat.key.key_id, grant.grant_id, 10), 0)
    assert door.refused(seat).reason == "suspend"


async def test_a_grant_for_another_purpose_permits_nothing(door: Door) -> None:
    door.decide("suspend")
    door.store.add_grant(door.account.account_id, model="*", purpose="teaching", by="me")
    assert door.refused(await door.seat()).reason == "suspend"


async def test_a_decision_that_has_run_out_binds_nobody(door: Door) -> None:
    door.decide("suspend", expires=now() + timedelta(minutes=1))
    seat = await door.seat()
    permit = door.gate.admit(seat, "m", 0, now() + timedelta(minutes=2), URL)
    assert permit.decision is None


@pytest.mark.parametrize("limit", ["requests_per_minute", "tokens_per_minute"])
async def test_a_minute_is_limited_and_says_for_how_long(door: Door, limit: str) -> None:
    seat = await door.seat(**{limit: 2})
    for _ in range(2):
        door.gate.leave(door.admit(seat, tokens=1), 1)
    fault = door.refused(seat, tokens=1)
    assert (fault.reason, fault.status) == (limit, 429)
    assert 0 < (fault.retry_after or 0) <= 30


async def test_tokens_are_foreseen_and_then_counted_as_they_were(door: Door) -> None:
    seat = await door.seat(tokens_per_minute=100)
    permit = door.admit(seat, tokens=90)
    assert door.refused(seat, tokens=20).reason == "tokens_per_minute"
    door.gate.leave(permit, 30)
    assert seat.tokens is not None
    assert seat.tokens.level(0) == pytest.approx(70, abs=2)
    door.gate.leave(door.admit(seat, tokens=20), None)
    assert seat.tokens.level(0) == pytest.approx(70, abs=2)


@pytest.mark.parametrize("limit", ["requests_per_day", "tokens_per_day"])
async def test_a_day_is_limited_until_midnight(door: Door, limit: str) -> None:
    seat = await door.seat(**{limit: 2})
    door.book.note(Line(seat.key.key_id, None, 1), 0)
    permit = door.admit(seat)
    if limit == "requests_per_day":  # what is under way counts as well
        assert door.refused(seat).reason == limit
    door.gate.leave(permit, 1)
    door.book.note(Line(seat.key.key_id, None, 1), 1)
    fault = door.refused(seat)
    assert (fault.reason, fault.status) == (limit, 429)
    assert 0 < (fault.retry_after or 0) <= 86400


async def test_how_much_may_be_under_way_is_bounded_for_a_key_and_for_all(door: Door) -> None:
    first, second = await door.seat(), await door.seat()
    permits = [door.admit(first) for _ in range(3)]
    assert door.refused(first).reason == "too_many_in_flight"
    permits += [door.admit(second) for _ in range(2)]
    assert (door.refused(second).reason, door.refused(second).status) == ("busy", 503)
    for permit in permits:
        door.gate.leave(permit, None)
    assert (door.gate.in_flight, first.in_flight, first.tenant.in_flight) == (0, 0, 0)


async def test_a_refused_request_takes_nothing(door: Door) -> None:
    seat = await door.seat(requests_per_minute=5, tokens_per_minute=10)
    permit = door.admit(seat, tokens=9)
    for _ in range(3):
        door.refused(seat, tokens=9)
    assert seat.requests is not None
    assert (round(seat.requests.level(0)), seat.in_flight) == (4, 1)
    door.gate.leave(permit, 9)


async def test_what_is_left_is_told_in_headers_to_keys_with_limits(door: Door) -> None:
    assert door.gate.headers(await door.seat()) == []
    seat = await door.seat(requests_per_minute=5, tokens_per_minute=100)
    door.admit(seat, tokens=40)
    headers = dict(door.gate.headers(seat))
    assert headers[b"x-ratelimit-limit-requests"] == b"5"
    assert headers[b"x-ratelimit-remaining-requests"] == b"4"
    assert headers[b"x-ratelimit-remaining-tokens"] == b"60"
    assert float(headers[b"x-ratelimit-reset-tokens"].rstrip(b"s")) == pytest.approx(24, abs=0.5)


async def test_a_flood_of_refusals_does_not_fill_the_record(door: Door) -> None:
    seat = await door.seat()
    assert sum(door.gate.may_record_refusal(seat.tenant) for _ in range(200)) == 60
