"""The page of all accounts."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from spiritsafe.console.page import Context, store_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from spiritsafe.store.models import Account, Decision

SHOWN = 200


class Row(msgspec.Struct, frozen=True):
    """One account as the list shows it: what it used today, what stands against it, whether it holds a permit."""

    account: Account
    requests: int
    tokens: int
    standing: Decision | None
    granted: bool


def accounts(request: Request) -> tuple[str, Context]:
    """The first accounts whose name, id or label contains ``q``; as a part of the page for the search box."""
    asked = request.query_params.get("q", "").strip().lower()
    store = store_of(request)
    today = datetime.now(UTC).date()
    keys = store.keys()
    owner = {key.key_id: key.account_id for key in keys}
    requests: dict[str, int] = defaultdict(int)
    tokens: dict[str, int] = defaultdict(int)
    for used in store.usage(since=today):
        requests[owner[used.key_id]] += used.requests
        tokens[owner[used.key_id]] += used.tokens
    standing = store.standing()
    granted = {grant.account_id for grant in store.grants(live=True)}
    found = [
        Row(a, requests[a.account_id], tokens[a.account_id], standing.get(a.account_id), a.account_id in granted)
        for a in store.accounts()
        if not asked or any(asked in text.lower() for text in (a.name, a.account_id, a.kind or ""))
    ]
    found.sort(key=lambda row: (row.standing is None, -row.requests, row.account.name))
    context: Context = {"rows": found[:SHOWN], "count": len(found), "shown": SHOWN, "asked": asked}
    return ("parts/accounts.html" if request.headers.get("hx-request") else "accounts.html"), context
