"""What the admin API takes and gives, as typed values; its OpenAPI document is made from them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from spiritsafe.record.identity import Pseudonymizer
from spiritsafe.store import Account, Case, Decision, Grant, Key, Limits, Store, Usage
from spiritsafe.store.models import NO_LIMITS, AccountStatus, CaseStatus, DecisionStatus, KeyState


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class AccountQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which accounts."""

    status: AccountStatus | None = None


class OwnedQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Those of one account, if it is named."""

    account_id: str | None = None


class DecisionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which decisions, newest first; ``appealed`` are those somebody objected to."""

    status: DecisionStatus | None = None
    subject: str | None = None
    account_id: str | None = None
    appealed: Literal["true", "false"] = "false"
    limit: int = 100


class CaseQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which cases."""

    status: CaseStatus | None = None
    subject: str | None = None


class NewAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A tenant to add; of ``payment`` only a keyed hash is kept."""

    name: str
    kind: str | None = None
    payment: str | None = None
    account_id: str | None = None


class AccountChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to change about an account; closing it revokes its keys."""

    name: str | UnsetType = UNSET
    kind: str | UnsetType | None = UNSET
    payment: str | UnsetType | None = UNSET
    status: AccountStatus | UnsetType = UNSET


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A key to add."""

    account_id: str
    name: str | None = None
    expires: datetime | None = None
    limits: Limits = NO_LIMITS


class KeyChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to change about a key; ``limits`` replaces them all."""

    name: str | UnsetType | None = UNSET
    expires: datetime | UnsetType | None = UNSET
    limits: Limits | UnsetType = UNSET


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """For how many seconds the old key still works."""

    overlap_seconds: float = 86400.0


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its hash; ``secret`` is shown when it is made and never again."""

    key_id: str
    account_id: str
    prefix: str
    created: datetime
    state: KeyState
    name: str | None
    expires: datetime | None
    revoked: datetime | None
    rotated_to: str | None
    limits: Limits
    secret: str | None = None


class NewGrant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A permit to distil; ``model`` is a shell pattern, ``by`` the person who grants it."""

    account_id: str
    model: str
    purpose: str
    by: str
    expires: datetime | None = None
    quota_requests: int | None = None
    quota_tokens: int | None = None


class GrantChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to change about a grant."""

    purpose: str | UnsetType = UNSET
    expires: datetime | UnsetType | None = UNSET
    quota_requests: int | UnsetType | None = UNSET
    quota_tokens: int | UnsetType | None = UNSET


class Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who answers for a pending decision."""

    by: str
    reason: str = ""


class Reversal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who ends a decision and why; with ``account_id``, for that account of a ring alone."""

    by: str
    reason: str
    account_id: str | None = None


class NewCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A case to open about an account or a ring."""

    subject: str
    by: str
    text: str = ""


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who says what."""

    by: str
    text: str


class Accounts(msgspec.Struct, frozen=True):
    """A list of accounts."""

    accounts: list[Account]


class Keys(msgspec.Struct, frozen=True):
    """A list of keys."""

    keys: list[KeyView]


class Grants(msgspec.Struct, frozen=True):
    """A list of grants."""

    grants: list[Grant]


class Decisions(msgspec.Struct, frozen=True):
    """A list of decisions."""

    decisions: list[Decision]


class Cases(msgspec.Struct, frozen=True):
    """A list of cases."""

    cases: list[Case]


class Usages(msgspec.Struct, frozen=True):
    """What keys used, by day."""

    usage: list[Usage]


class Desk(NamedTuple):
    """What handlers work with; they run in a thread."""

    store: Store
    pseudonyms: Pseudonymizer
    now: Callable[[], datetime]

    def view(self, key: Key, secret: str | None = None) -> KeyView:
        """A key as it may be shown."""
        shown = {name: getattr(key, name) for name in KeyView.__struct_fields__ if name not in ("state", "secret")}
        return KeyView(**shown, state=key.state(self.now()), secret=secret)

    def payment(self, value: str | UnsetType | None) -> str | UnsetType | None:
        """The pseudonym of how an account pays."""
        return self.pseudonyms.of("payment", value) if isinstance(value, str) else value


class Route(NamedTuple):
    """One operation: ``run(desk, name, query, body)`` with the name from the path, ``""`` if it has none.

    ``find`` raises ``UsageError`` if nothing has that name.
    """

    method: str
    path: str
    summary: str
    result: type[Any]
    run: Callable[[Desk, str, Any, Any], Any]
    query: type[msgspec.Struct] = NoQuery
    body: type[msgspec.Struct] | None = None
    find: Callable[[Store, str], object] | None = None
    status: int = 200
