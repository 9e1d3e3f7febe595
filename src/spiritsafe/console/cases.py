"""Cases: the list, one of them, and answering an appeal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.console.page import Context, record_of, store_of
from spiritsafe.console.telling import shown
from spiritsafe.errors import UsageError

if TYPE_CHECKING:
    from starlette.requests import Request

    from spiritsafe.console.session import Session


def cases(request: Request) -> tuple[str, Context]:
    """Every case, open ones first."""
    found = store_of(request).cases()
    found.sort(key=lambda case: case.status != "open")
    return "cases.html", {"cases": found, "names": _names(request)}


def case(request: Request) -> tuple[str, Context]:
    """One case with its timeline and the decisions that still stand in it."""
    store = store_of(request)
    found = store.case(request.path_params["case_id"])
    ids = dict.fromkeys(event.decision_id for event in found.events if event.decision_id)
    decisions = [store.decision(decision_id) for decision_id in ids]
    record = record_of(request)
    return "case.html", {
        "case": found,
        "names": _names(request),
        "decisions": decisions,
        "telling": [(each, weigh) for each in decisions if (weigh := shown(record, each))],
    }


def act(request: Request, session: Session, form: dict[str, str]) -> str:
    """Note, close or reopen; a granted appeal reverses its decision and says so in the case."""
    store = store_of(request)
    case_id = request.path_params["case_id"]
    text, deed = form.get("text", "").strip(), form.get("deed", "")
    if deed == "note":
        store.note(case_id, session.person, text)
    elif deed == "grant":
        store.reverse(form.get("decision_id", ""), session.person, text, account_id=form.get("account_id") or None)
    elif deed == "deny":
        store.note(case_id, session.person, f"appeal denied: {text}" if text else "")
    elif deed == "close":
        store.close_case(case_id, session.person, text)
    elif deed == "reopen":
        store.reopen_case(case_id, session.person, text)
    else:
        raise UsageError(f"there is no deed {deed!r}", remedy="Valid: note, grant, deny, close, reopen.")
    return f"/cases/{case_id}"


def _names(request: Request) -> dict[str, str]:
    return {account.account_id: account.name for account in store_of(request).accounts()}
