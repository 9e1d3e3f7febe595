"""Every operation of the admin API, as one table."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from spiritsafe.gateway.admin.types import (
    AccountChange,
    AccountQuery,
    Accounts,
    CaseQuery,
    Cases,
    Confirmation,
    DecisionQuery,
    Decisions,
    Desk,
    GrantChange,
    Grants,
    KeyChange,
    Keys,
    KeyView,
    NewAccount,
    NewCase,
    NewGrant,
    NewKey,
    NoQuery,
    OwnedQuery,
    Reversal,
    Rotation,
    Route,
    Usages,
    Words,
)
from spiritsafe.store import Account, Case, Decision, Grant, Store

_fields = msgspec.structs.asdict


def _accounts(desk: Desk, _name: str, query: AccountQuery, _body: None) -> Accounts:
    return Accounts(desk.store.accounts(status=query.status))


def _add_account(desk: Desk, _name: str, _query: NoQuery, body: NewAccount) -> Account:
    return desk.store.add_account(**{**_fields(body), "payment": desk.payment(body.payment)})


def _account(desk: Desk, name: str, _query: NoQuery, _body: None) -> Account:
    return desk.store.account(name)


def _change_account(desk: Desk, name: str, _query: NoQuery, body: AccountChange) -> Account:
    return desk.store.change_account(name, **{**_fields(body), "payment": desk.payment(body.payment)})


def _usage(desk: Desk, name: str, _query: NoQuery, _body: None) -> Usages:
    return Usages(desk.store.usage(account_id=name))


def _keys(desk: Desk, _name: str, query: OwnedQuery, _body: None) -> Keys:
    return Keys([desk.view(key) for key in desk.store.keys(account_id=query.account_id)])


def _add_key(desk: Desk, _name: str, _query: NoQuery, body: NewKey) -> KeyView:
    return desk.view(*desk.store.add_key(**_fields(body)))


def _key(desk: Desk, name: str, _query: NoQuery, _body: None) -> KeyView:
    return desk.view(desk.store.key(name))


def _change_key(desk: Desk, name: str, _query: NoQuery, body: KeyChange) -> KeyView:
    return desk.view(desk.store.change_key(name, **_fields(body)))


def _rotate_key(desk: Desk, name: str, _query: NoQuery, body: Rotation) -> KeyView:
    return desk.view(*desk.store.rotate_key(name, overlap=timedelta(seconds=body.overlap_seconds)))


def _revoke_key(desk: Desk, name: str, _query: NoQuery, _body: None) -> KeyView:
    return desk.view(desk.store.revoke_key(name))


def _grants(desk: Desk, _name: str, query: OwnedQuery, _body: None) -> Grants:
    return Grants(desk.store.grants(account_id=query.account_id))


def _add_grant(desk: Desk, _name: str, _query: NoQuery, body: NewGrant) -> Grant:
    return desk.store.add_grant(**_fields(body))


def _grant(desk: Desk, name: str, _query: NoQuery, _body: None) -> Grant:
    return desk.store.grant(name)


def _change_grant(desk: Desk, name: str, _query: NoQuery, body: GrantChange) -> Grant:
    return desk.store.change_grant(name, **_fields(body))


def _revoke_grant(desk: Desk, name: str, _query: NoQuery, _body: None) -> Grant:
    return desk.store.revoke_grant(name)


def _decisions(desk: Desk, _name: str, query: DecisionQuery, _body: None) -> Decisions:
    appealed = query.appealed == "true"
    found = desk.store.decisions(
        status=query.status,
        subject=query.subject,
        account_id=query.account_id,
        limit=None if appealed else query.limit,
    )
    return Decisions([d for d in found if d.appeal is not None][: query.limit] if appealed else found)


def _decision(desk: Desk, name: str, _query: NoQuery, _body: None) -> Decision:
    return desk.store.decision(name)


def _confirm(desk: Desk, name: str, _query: NoQuery, body: Confirmation) -> Decision:
    return desk.store.confirm(name, body.by, body.reason)


def _reverse(desk: Desk, name: str, _query: NoQuery, body: Reversal) -> Decision:
    return desk.store.reverse(name, body.by, body.reason, account_id=body.account_id)


def _cases(desk: Desk, _name: str, query: CaseQuery, _body: None) -> Cases:
    return Cases(desk.store.cases(status=query.status, subject=query.subject))


def _open_case(desk: Desk, _name: str, _query: NoQuery, body: NewCase) -> Case:
    return desk.store.open_case(body.subject, body.by, body.text)


def _case(desk: Desk, name: str, _query: NoQuery, _body: None) -> Case:
    return desk.store.case(name)


def _note(desk: Desk, name: str, _query: NoQuery, body: Words) -> Case:
    return desk.store.note(name, body.by, body.text)


def _close_case(desk: Desk, name: str, _query: NoQuery, body: Words) -> Case:
    return desk.store.close_case(name, body.by, body.text)


def _reopen_case(desk: Desk, name: str, _query: NoQuery, body: Words) -> Case:
    return desk.store.reopen_case(name, body.by, body.text)


_ONE_ACCOUNT, _ONE_KEY, _ONE_GRANT = "/accounts/{name}", "/keys/{name}", "/grants/{name}"
_ONE_DECISION, _ONE_CASE = "/decisions/{name}", "/cases/{name}"

ROUTES: tuple[Route, ...] = (
    Route("GET", "/accounts", "List accounts", Accounts, _accounts, query=AccountQuery),
    Route("POST", "/accounts", "Add an account", Account, _add_account, body=NewAccount, status=201),
    Route("GET", _ONE_ACCOUNT, "Show an account", Account, _account, find=Store.account),
    Route("PATCH", _ONE_ACCOUNT, "Change an account", Account, _change_account, body=AccountChange, find=Store.account),
    Route("GET", f"{_ONE_ACCOUNT}/usage", "What it used, by key and day", Usages, _usage, find=Store.account),
    Route("GET", "/keys", "List keys", Keys, _keys, query=OwnedQuery),
    Route("POST", "/keys", "Add a key; its secret is shown once", KeyView, _add_key, body=NewKey, status=201),
    Route("GET", _ONE_KEY, "Show a key", KeyView, _key, find=Store.key),
    Route("PATCH", _ONE_KEY, "Change a key", KeyView, _change_key, body=KeyChange, find=Store.key),
    Route("DELETE", _ONE_KEY, "Revoke a key, at once and for good", KeyView, _revoke_key, find=Store.key),
    Route("POST", f"{_ONE_KEY}/rotate", "Make its successor", KeyView, _rotate_key, body=Rotation, find=Store.key),
    Route("GET", "/grants", "List grants", Grants, _grants, query=OwnedQuery),
    Route("POST", "/grants", "Add a grant", Grant, _add_grant, body=NewGrant, status=201),
    Route("GET", _ONE_GRANT, "Show a grant", Grant, _grant, find=Store.grant),
    Route("PATCH", _ONE_GRANT, "Change a grant", Grant, _change_grant, body=GrantChange, find=Store.grant),
    Route("DELETE", _ONE_GRANT, "Revoke a grant", Grant, _revoke_grant, find=Store.grant),
    Route("GET", "/decisions", "List decisions", Decisions, _decisions, query=DecisionQuery),
    Route("GET", _ONE_DECISION, "Show a decision", Decision, _decision, find=Store.decision),
    Route(
        "POST",
        f"{_ONE_DECISION}/confirm",
        "Put it in force",
        Decision,
        _confirm,
        body=Confirmation,
        find=Store.decision,
    ),
    Route("POST", f"{_ONE_DECISION}/reverse", "End it", Decision, _reverse, body=Reversal, find=Store.decision),
    Route("GET", "/cases", "List cases", Cases, _cases, query=CaseQuery),
    Route("POST", "/cases", "Open a case", Case, _open_case, body=NewCase, status=201),
    Route("GET", _ONE_CASE, "Show a case", Case, _case, find=Store.case),
    Route("POST", f"{_ONE_CASE}/notes", "Add a note", Case, _note, body=Words, find=Store.case, status=201),
    Route("POST", f"{_ONE_CASE}/close", "Close a case", Case, _close_case, body=Words, find=Store.case),
    Route("POST", f"{_ONE_CASE}/reopen", "Open it again", Case, _reopen_case, body=Words, find=Store.case),
)
