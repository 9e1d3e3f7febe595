"""The page of one account."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from spiritsafe.console.page import Context, store_of

if TYPE_CHECKING:
    from starlette.requests import Request

DAYS = 14


def account(request: Request) -> tuple[str, Context]:
    """Keys, permits, use of the last fortnight, and every decision that covers it."""
    store = store_of(request)
    account_id = request.path_params["account_id"]
    found = store.account(account_id)
    now = datetime.now(UTC)
    since = now.date() - timedelta(days=DAYS - 1)
    used: dict[date, int] = defaultdict(int)
    for one in store.usage(account_id=account_id, since=since):
        used[one.day] += one.requests
    days = [since + timedelta(days=n) for n in range(DAYS)]
    return "account.html", {
        "account": found,
        "keys": store.keys(account_id=account_id),
        "grants": store.grants(account_id=account_id),
        "decisions": store.decisions(account_id=account_id, limit=50),
        "standing": store.standing(account_id).get(account_id),
        "cases": store.cases(subject=account_id),
        "days": [(day, used[day]) for day in days],
        "most": max(1, *used.values()) if used else 1,
        "now": now,
    }
