"""The first page: what is asked now, who waits for a person, what was decided last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.console.page import Context, store_of

if TYPE_CHECKING:
    from starlette.requests import Request


def overview(request: Request) -> tuple[str, Context]:
    """Numbers, decisions that wait, the strictest that stand and the newest; the part alone when htmx asks."""
    store = store_of(request)
    known = store.accounts()
    standing = store.standing()
    context: Context = {
        "accounts": len(known),
        "names": {account.account_id: account.name for account in known},
        "waiting": store.decisions(status="pending", limit=20),
        "standing": len(standing),
        "suspended": sum(decision.action == "suspend" for decision in standing.values()),
        "open_cases": store.cases(status="open"),
        "latest": store.decisions(limit=12),
    }
    return ("parts/overview.html" if request.headers.get("hx-request") else "overview.html"), context
