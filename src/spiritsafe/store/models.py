"""What the store keeps, as frozen values: accounts, keys, grants, decisions, cases, usage."""

from __future__ import annotations

from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Literal, get_args

import msgspec

from spiritsafe.stats.result import Evidence

Action = Literal["observe", "notify", "verify", "throttle", "withhold", "suspend"]
ACTIONS: tuple[Action, ...] = get_args(Action)

AccountStatus = Literal["active", "closed"]
CaseStatus = Literal["open", "closed"]
DecisionStatus = Literal["pending", "in_force", "reversed", "expired"]
KeyState = Literal["live", "expired", "revoked"]
SubjectKind = Literal["account", "ring"]
EventKind = Literal[
    "opened", "closed", "reopened", "note", "decided", "confirmed", "reversed", "released", "expired", "appealed"
]


def strictness(action: Action) -> int:
    """Rung of the ladder, 0 for ``observe`` to 5 for ``suspend``."""
    return ACTIONS.index(action)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant. ``payment`` is a keyed hash of how it pays, never the thing itself; ``kind`` is a free label
    (``university``, ``agency``). All keys of a closed account are revoked.
    """

    account_id: str
    name: str
    created: datetime
    payment: str | None = None
    kind: str | None = None
    status: AccountStatus = "active"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one key may ask for; None is no limit. Tokens are prompt and completion together; days are UTC."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_day: int | None = None


NO_LIMITS = Limits()


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An API key as stored: ``hash`` is SHA-256 of the whole secret, ``prefix`` its readable start
    (``ssk_abcd2345``). ``rotated_to`` is the key that takes over once this one has expired.
    """

    key_id: str
    account_id: str
    prefix: str
    hash: bytes
    created: datetime
    name: str | None = None
    expires: datetime | None = None
    revoked: datetime | None = None
    rotated_to: str | None = None
    limits: Limits = NO_LIMITS

    def state(self, now: datetime) -> KeyState:
        """Whether the key opens anything at ``now``; only ``live`` does."""
        if self.revoked is not None:
            return "revoked"
        if self.expires is not None and self.expires <= now:
            return "expired"
        return "live"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A permit to distil. ``model`` is a shell pattern over model names (``*`` is all of them).

    The quotas cover the grant's whole life; ``used_*`` lag behind by what gateways have not flushed yet.
    """

    grant_id: str
    account_id: str
    model: str
    purpose: str
    by: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    quota_requests: int | None = None
    quota_tokens: int | None = None
    used_requests: int = 0
    used_tokens: int = 0

    def live(self, now: datetime) -> bool:
        """Neither revoked nor expired at ``now``, and within its quotas."""
        if self.revoked is not None or (self.expires is not None and self.expires <= now):
            return False
        if self.quota_requests is not None and self.used_requests >= self.quota_requests:
            return False
        return self.quota_tokens is None or self.used_tokens < self.quota_tokens

    def covers(self, model: str | None, now: datetime) -> bool:
        """Whether this grant permits distilling ``model`` at ``now``; an unnamed model needs the pattern ``*``."""
        return self.live(now) and (self.model == "*" if model is None else fnmatchcase(model, self.model))


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a decision's or a case's history. ``by`` is a person, ``policy:<digest>`` or ``account:<id>``;
    ``account_id`` is the one account of a ring that the line is about.
    """

    time: datetime
    kind: EventKind
    by: str
    text: str = ""
    decision_id: str | None = None
    case_id: str | None = None
    account_id: str | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided about an account or a ring, and why. Never deleted.

    ``accounts`` are all that it covers (one for an account), as ids of this store; ``released`` those that a
    person has since taken out. ``by`` is ``policy:<digest>`` or a person. ``pending`` waits for a person and
    binds nobody; a decision binds while ``in_force(now)``. ``appeal`` is the latest appeal's text, ``events``
    the history; both are filled in by the store and ignored by ``decide``.
    """

    decision_id: str
    time: datetime
    subject: str
    subject_kind: SubjectKind
    accounts: tuple[str, ...]
    action: Action
    rule: str
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    by: str
    status: DecisionStatus
    needs_person: bool = False
    expires: datetime | None = None
    released: tuple[str, ...] = ()
    case_id: str | None = None
    appeal: str | None = None
    events: tuple[Event, ...] = ()

    def in_force(self, now: datetime) -> bool:
        """Whether it binds its accounts at ``now``, also when nobody has yet marked it expired."""
        return self.status == "in_force" and (self.expires is None or self.expires > now)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What people follow about one subject (an account or a ring): its timeline, oldest first, includes the
    history of every decision that belongs to the case.
    """

    case_id: str
    subject: str
    opened: datetime
    status: CaseStatus = "open"
    events: tuple[Event, ...] = ()


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one key has used on one day (UTC)."""

    key_id: str
    day: date
    requests: int
    tokens: int
