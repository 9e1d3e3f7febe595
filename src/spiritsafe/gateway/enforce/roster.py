"""The store's accounts, keys, grants and standing decisions, held in memory and never older than its generation."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

import msgspec

from spiritsafe.errors import SpiritsafeError
from spiritsafe.gateway.enforce.limits import Bucket
from spiritsafe.gateway.enforce.usage import Book
from spiritsafe.gateway.faults import Fault
from spiritsafe.store import Store, hash_secret
from spiritsafe.store.models import Account, Decision, Grant, Key

RECENT = 100_000
"""How many secrets are remembered unhashed, until the next reload."""


class Tenant:
    """One account: what stands about it, and what it has under way over all its keys."""

    __slots__ = ("account", "decision", "grants", "in_flight", "refusals", "throttle")

    def __init__(self, account: Account) -> None:
        self.account = account
        self.decision: Decision | None = None
        self.grants: list[Grant] = []
        self.in_flight = 0
        self.throttle: Bucket | None = None
        self.refusals: Bucket | None = None


class Seat:
    """One key, its tenant, and what is left of its minute."""

    __slots__ = ("in_flight", "key", "requests", "tenant", "tokens")

    def __init__(self, key: Key, tenant: Tenant) -> None:
        self.key = key
        self.tenant = tenant
        self.in_flight = 0
        self.requests: Bucket | None = None
        self.tokens: Bucket | None = None


class _Snapshot(msgspec.Struct, frozen=True):
    generation: int
    accounts: list[Account]
    keys: list[Key]
    grants: list[Grant]
    standing: dict[str, Decision]


class Roster:
    """Seats by the hash of their key's secret. Seats and tenants outlive a reload, so that limits do too.

    Of the grants only those for one of ``purposes`` are known here: the policy says which purposes permit.
    """

    def __init__(self, store: Store, book: Book, purposes: Collection[str] = ("distil",)) -> None:
        self._store = store
        self._book = book
        self._purposes = purposes
        self._generation = -1
        self._asked = -1.0
        self._seats: dict[bytes, Seat] = {}
        self._recent: dict[bytes, Seat] = {}
        self._by_id: dict[str, Seat] = {}
        self._tenants: dict[str, Tenant] = {}
        self._lock = asyncio.Lock()
        self._stale_at: datetime | None = None

    @property
    def key_ids(self) -> set[str]:
        """The ids of all keys."""
        return set(self._by_id)

    def is_current(self, now: datetime) -> bool:
        """Whether nothing has changed since the last reload. Raises ``Fault`` when nobody can know."""
        if self._stale_at is not None and now >= self._stale_at:
            return False
        # The loop's clock stands still while it works off what came in at one moment: asked once for all of it.
        moment = asyncio.get_running_loop().time()
        if moment == self._asked:
            return True
        try:
            current = self._store.generation() == self._generation
        except SpiritsafeError as error:
            raise _unreachable(error) from error
        if current:
            self._asked = moment
        return current

    async def refresh(self, now: datetime) -> None:
        """Read everything again if it has changed; concurrent callers wait for the same reading."""
        async with self._lock:
            if self.is_current(now):
                return
            async with self._book.lock:
                try:
                    found = await asyncio.to_thread(self._read)
                    self._take(found)
                    self._book.reread = any(_has_quota(key) for key in found.keys)
                    if self._book.reread:
                        await self._book.reload()
                except SpiritsafeError as error:
                    raise _unreachable(error) from error

    def find(self, secret: bytes) -> Seat | None:
        """The seat that ``secret`` opens, also if its key has expired or was revoked."""
        seat = self._recent.get(secret)
        if seat is None:
            seat = self._seats.get(hash_secret(secret.decode("latin-1")))
            if seat is not None and len(self._recent) < RECENT:
                self._recent[secret] = seat
        return seat

    def _read(self) -> _Snapshot:
        generation = self._store.generation()  # asked first: what changes while we read shows as newer
        return _Snapshot(
            generation,
            self._store.accounts(),
            self._store.keys(),
            self._store.grants(live=True),
            self._store.standing(),
        )

    def _take(self, found: _Snapshot) -> None:
        grants: dict[str, list[Grant]] = defaultdict(list)
        for grant in found.grants:
            if grant.purpose in self._purposes:
                grants[grant.account_id].append(grant)
        tenants: dict[str, Tenant] = {}
        for account in found.accounts:
            tenant = self._tenants.get(account.account_id) or Tenant(account)
            tenant.account = account
            tenant.grants = grants.get(account.account_id, [])
            tenant.decision = found.standing.get(account.account_id)
            tenants[account.account_id] = tenant
        seats: dict[str, Seat] = {}
        for key in found.keys:
            tenant = tenants[key.account_id]
            seat = self._by_id.get(key.key_id) or Seat(key, tenant)
            seat.key, seat.tenant = key, tenant
            now = time.monotonic()
            seat.requests = _fit(seat.requests, key.limits.requests_per_minute, now)
            seat.tokens = _fit(seat.tokens, key.limits.tokens_per_minute, now)
            seats[key.key_id] = seat
        self._tenants, self._by_id = tenants, seats
        self._seats = {seat.key.hash: seat for seat in seats.values()}
        self._recent = {}
        self._generation = found.generation
        self._book.grants.know({g.grant_id: (g.used_requests, g.used_tokens) for g in found.grants})
        ends = [d.expires for d in found.standing.values() if d.expires is not None]
        self._stale_at = min(ends, default=None)  # a milder decision may stand beneath one that runs out


def _fit(bucket: Bucket | None, per_minute: int | None, now: float) -> Bucket | None:
    if per_minute is None:
        return None
    if bucket is None:
        return Bucket(per_minute, now)
    if bucket.capacity != per_minute:
        bucket.resize(per_minute, now)
    return bucket


def _has_quota(key: Key) -> bool:
    limits = key.limits
    return key.revoked is None and (limits.requests_per_day is not None or limits.tokens_per_day is not None)


def _unreachable(error: SpiritsafeError) -> Fault:
    return Fault(
        "store_unreachable",
        "this gateway can't reach its store, so it can't know which keys are valid",
        remedy="Try again in a moment.",
        retry_after=5,
    )
