"""The order in which a request is let in: key, grant, decision, limits.

1. The key must be known and live.
2. A grant that covers the model is read before any decision. Under it, decisions that a policy made and no
   person confirmed do not bind: what was permitted is not punished for looking like what it is.
3. The strictest decision in force about the account: ``verify`` and ``suspend`` refuse, ``throttle`` leaves a
   trickle, ``withhold`` lets the answer go without logprobs and reasoning, ``notify`` says so in a header.
4. The key's own limits by the minute and the day, and how much it may have in flight.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from spiritsafe.gateway.enforce.limits import Bucket
from spiritsafe.gateway.enforce.roster import Roster, Seat, Tenant
from spiritsafe.gateway.enforce.usage import Book
from spiritsafe.gateway.faults import Fault, Ruling
from spiritsafe.gateway.settings import LimitSettings, ThrottleSettings
from spiritsafe.gateway.types import Headers
from spiritsafe.store.models import Decision, Grant

REFUSALS_PER_MINUTE = 60
"""How many refusals of one account are recorded a minute; the rest are only counted."""

RawHeaders = dict[bytes, bytes]


class Permit:
    """Leave for one request: under which grant, with what taken from the answer, and what it holds of the limits."""

    __slots__ = ("decision", "estimate", "grant", "seat", "withhold")

    def __init__(self, seat: Seat, grant: Grant | None, decision: Decision | None, estimate: int) -> None:
        self.seat = seat
        self.grant = grant
        self.decision = decision
        self.withhold = decision is not None and decision.action == "withhold"
        self.estimate = estimate


class Gate:
    """Lets requests in and out. All state is in memory and used on the event loop alone."""

    def __init__(self, roster: Roster, book: Book, limits: LimitSettings, throttle: ThrottleSettings) -> None:
        self._roster = roster
        self._book = book
        self._limits = limits
        self._throttle = throttle
        self.in_flight = 0

    async def seat(self, headers: RawHeaders, now: datetime) -> Seat:
        """The seat that the request's key opens. Raises ``Fault`` for none."""
        if not self._roster.is_current(now):
            await self._roster.refresh(now)
        seat = self._roster.find(_secret(headers))
        if seat is None:
            raise Fault("invalid_key", "this API key is not known here", remedy="Check it, or ask for a new one.")
        if seat.key.revoked is not None or seat.key.expires is not None:
            _need_live(seat, now)
        return seat

    def admit(self, seat: Seat, model: str | None, prompt_tokens: int, now: datetime, appeals: str) -> Permit:
        """Leave for one request of about ``prompt_tokens``; ``leave`` must follow.

        ``appeals`` is the address of the appeal route. Raises ``Fault``.
        """
        tenant = seat.tenant
        grant = self._grant(tenant, model, now) if tenant.grants else None
        decision = tenant.decision
        if decision is not None and not _binds(decision, grant, now):
            decision = None
        clock = time.monotonic()
        if decision is not None:
            self._obey(tenant, decision, clock, appeals)
        self._within_limits(seat, prompt_tokens, now, clock)
        if seat.requests is not None:
            seat.requests.take(1)
        if seat.tokens is not None:
            seat.tokens.take(prompt_tokens)
        if decision is not None and decision.action == "throttle" and tenant.throttle is not None:
            tenant.throttle.take(1)
        seat.in_flight += 1
        tenant.in_flight += 1
        self.in_flight += 1
        return Permit(seat, grant, decision, prompt_tokens)

    def leave(self, permit: Permit, tokens: int | None) -> None:
        """Give back what ``permit`` held; ``tokens`` is what was used in truth, ``None`` if nothing was answered."""
        seat = permit.seat
        seat.in_flight -= 1
        seat.tenant.in_flight -= 1
        self.in_flight -= 1
        if seat.tokens is not None:
            seat.tokens.take((tokens or 0) - permit.estimate)

    def may_record_refusal(self, tenant: Tenant) -> bool:
        """Whether one more refusal of this account goes into the record; a flood of them must not fill it."""
        now = time.monotonic()
        if tenant.refusals is None:
            tenant.refusals = Bucket(REFUSALS_PER_MINUTE, now)
        if tenant.refusals.wait(1, now) > 0:
            return False
        tenant.refusals.take(1)
        return True

    def _grant(self, tenant: Tenant, model: str | None, now: datetime) -> Grant | None:
        for grant in tenant.grants:
            requests, tokens = self._book.grants.used(grant.grant_id)
            over = (grant.quota_requests is not None and requests >= grant.quota_requests) or (
                grant.quota_tokens is not None and tokens >= grant.quota_tokens
            )
            if not over and grant.covers(model, now):
                return grant
        return None

    def _obey(self, tenant: Tenant, decision: Decision, clock: float, appeals: str) -> None:
        action = decision.action
        if action in ("verify", "suspend"):
            words = "must be verified before it can go on" if action == "verify" else "is suspended"
            remedy = "Read the reasons; to object, send decision_id and text to the appeal address."
            raise Fault(action, f"this account {words}", remedy=remedy, ruling=_ruling(decision, appeals))
        if action != "throttle":
            return
        per_minute = self._throttle.requests_per_minute
        if tenant.throttle is None:
            tenant.throttle = Bucket(per_minute, clock)
        wait = tenant.throttle.wait(1, clock)
        if wait == 0 and tenant.in_flight >= self._throttle.in_flight:
            wait = 1.0
        if wait > 0:
            raise Fault(
                "throttle",
                f"this account is throttled to {per_minute} requests a minute, {self._throttle.in_flight} at a time",
                remedy="Ask more slowly; to object, send decision_id and text to the appeal address.",
                retry_after=wait,
                ruling=_ruling(decision, appeals),
            )

    def _within_limits(self, seat: Seat, prompt_tokens: int, now: datetime, clock: float) -> None:
        limits = seat.key.limits
        if seat.requests is not None and (wait := seat.requests.wait(1, clock)) > 0:
            raise _over("requests_per_minute", limits.requests_per_minute, wait)
        if seat.tokens is not None and (wait := seat.tokens.wait(prompt_tokens, clock)) > 0:
            raise _over("tokens_per_minute", limits.tokens_per_minute, wait)
        if limits.requests_per_day is not None or limits.tokens_per_day is not None:
            requests, tokens = self._book.keys.used(seat.key.key_id)
            if limits.requests_per_day is not None and requests + seat.in_flight >= limits.requests_per_day:
                raise _over("requests_per_day", limits.requests_per_day, _until_midnight(now))
            if limits.tokens_per_day is not None and tokens >= limits.tokens_per_day:
                raise _over("tokens_per_day", limits.tokens_per_day, _until_midnight(now))
        if seat.in_flight >= self._limits.in_flight_per_key:
            raise Fault(
                "too_many_in_flight",
                f"this key has {seat.in_flight} requests under way, as many as it may",
                remedy="Wait for one of them to end.",
                retry_after=1,
            )
        if self.in_flight >= self._limits.in_flight:
            raise Fault("busy", "this gateway is at its limit", remedy="Try again in a moment.", retry_after=2)

    def headers(self, seat: Seat) -> Headers:
        """What is left of the key's minute, under the names OpenAI uses; nothing for a key without limits."""
        if seat.requests is None and seat.tokens is None:
            return []
        now = time.monotonic()
        found: Headers = []
        for name, bucket in ((b"requests", seat.requests), (b"tokens", seat.tokens)):
            if bucket is not None:
                found += (
                    (b"x-ratelimit-limit-" + name, b"%d" % bucket.capacity),
                    (b"x-ratelimit-remaining-" + name, b"%d" % max(0, int(bucket.level(now)))),
                    (b"x-ratelimit-reset-" + name, b"%.3fs" % bucket.refill(now)),
                )
        return found


def _secret(headers: RawHeaders) -> bytes:
    given = headers.get(b"authorization")
    if given is not None and given[:7].lower() == b"bearer ":
        return given[7:].strip()
    if (given := headers.get(b"x-api-key")) is not None:
        return given.strip()
    raise Fault(
        "missing_key",
        "there is no API key in the request",
        remedy="Send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'.",
    )


def _need_live(seat: Seat, now: datetime) -> None:
    state = seat.key.state(now)
    if state == "revoked":
        raise Fault("revoked_key", "this API key was revoked", remedy="Ask for a new one.")
    if state == "expired":
        raise Fault("expired_key", "this API key has expired", remedy="Use the key it was rotated to, or a new one.")


def _binds(decision: Decision, grant: Grant | None, now: datetime) -> bool:
    if decision.action == "observe" or not decision.in_force(now):
        return False
    return grant is None or not _by_policy(decision)


def _by_policy(decision: Decision) -> bool:
    return decision.by.startswith("policy:") and not any(event.kind == "confirmed" for event in decision.events)


def _ruling(decision: Decision, appeals: str) -> Ruling:
    return Ruling(decision.decision_id, decision.action, decision.reasons, appeals)


def _over(reason: str, limit: int | None, wait: float) -> Fault:
    what = reason.replace("_", " ")
    return Fault(
        reason,
        f"this key may use {limit} {what}, and they are used up",
        remedy=f"Try again in {max(1, round(wait))} seconds, or ask for a higher limit.",
        retry_after=wait,
    )


def _until_midnight(now: datetime) -> float:
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - now).total_seconds()
