"""Decisions: the list, one of them, and what a person may do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, get_args

from spiritsafe.console.page import Context, record_of, store_of
from spiritsafe.console.telling import shown
from spiritsafe.errors import UsageError
from spiritsafe.store.models import DecisionStatus

if TYPE_CHECKING:
    from starlette.requests import Request

    from spiritsafe.console.session import Session

SHOWN = 100
STATUSES: tuple[str, ...] = get_args(DecisionStatus)


def decisions(request: Request) -> tuple[str, Context]:
    """The newest decisions, all or of one ``status``."""
    status = request.query_params.get("status", "")
    chosen = cast("DecisionStatus", status) if status in STATUSES else None
    store = store_of(request)
    names = {account.account_id: account.name for account in store.accounts()}
    context: Context = {
        "decisions": store.decisions(status=chosen, limit=SHOWN),
        "statuses": STATUSES,
        "status": chosen or "",
        "names": names,
    }
    return ("parts/decisions.html" if request.headers.get("hx-request") else "decisions.html"), context


def decision(request: Request) -> tuple[str, Context]:
    """One decision with its reasons, its evidence, its history and whom it covers."""
    store = store_of(request)
    found = store.decision(request.path_params["decision_id"])
    names = {account.account_id: account.name for account in store.accounts()}
    return "decision.html", {"decision": found, "names": names, "telling": shown(record_of(request), found)}


def act(request: Request, session: Session, form: dict[str, str]) -> str:
    """Confirm, reverse, or let one account of a ring go; the person's name and reason are kept."""
    store = store_of(request)
    decision_id = request.path_params["decision_id"]
    reason, deed = form.get("reason", "").strip(), form.get("deed", "")
    if deed == "confirm":
        store.confirm(decision_id, session.person, reason)
    elif deed == "reverse":
        store.reverse(decision_id, session.person, reason)
    elif deed == "release":
        store.reverse(decision_id, session.person, reason, account_id=form.get("account_id", ""))
    else:
        raise UsageError(f"there is no deed {deed!r}", remedy="Valid: confirm, reverse, release.")
    return f"/decisions/{decision_id}"
