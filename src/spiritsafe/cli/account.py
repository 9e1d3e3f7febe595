"""``spiritsafe account``: list, add, show, change, revoke."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer

from spiritsafe.cli.data import FOLDER, Data, Database, account_named, opened
from spiritsafe.cli.key import COLUMNS as KEY_COLUMNS
from spiritsafe.cli.key import line as key_line
from spiritsafe.cli.key import public as public_key
from spiritsafe.cli.output import Json, emit_json, emit_table
from spiritsafe.cli.values import NONE

if TYPE_CHECKING:
    from spiritsafe.store import Account, Store

group = typer.Typer(help="Tenants: list, add, show, change, revoke.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its id, or its name if no other has it.")]
Payment = Annotated[
    str | None, typer.Option(help="How it pays, such as a card's reference. Only a keyed hash is stored.")
]
Kind = Annotated[str | None, typer.Option(help="What it is, in your words: university, agency, internal.")]
Status = Literal["active", "closed"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(group, name="account")


@group.command("list")
def list_(
    status: Annotated[Status | None, typer.Option(help="Only those.")] = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """List accounts, oldest first."""
    with opened(data, database) as store:
        found = store.accounts(status=status)
    if json:
        emit_json({"accounts": found})
    else:
        columns = ("account", "name", "kind", "status", "created")
        emit_table(columns, ((a.account_id, a.name, a.kind, a.status, a.created) for a in found))


@group.command()
def add(
    name: Annotated[str, typer.Argument(help="Its name.")],
    payment: Payment = None,
    kind: Kind = None,
    account_id: Annotated[str | None, typer.Option("--id", help="Its id, if it shall not be drawn.")] = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """Add an account. It can do nothing before it has a key: spiritsafe key add."""
    with opened(data, database, create=True) as store:
        made = store.add_account(name, payment=_pseudonym(data, payment), kind=kind, account_id=account_id)
    _show(made, json)


@group.command()
def show(name: Name, data: Data = FOLDER, database: Database = None, json: Json = False) -> None:
    """Show an account with its keys, its grants, its use of today and the decision that stands."""
    with opened(data, database) as store:
        account = account_named(store, name)
        about = _about(store, account.account_id)
    if json:
        emit_json(msgspec.to_builtins(account) | about)
        return
    _show(account, json=False)
    emit_table(KEY_COLUMNS, map(key_line, about["keys"]), title="\nkeys")
    emit_table(
        ("grant", "model", "purpose", "expires", "revoked"),
        ((g.grant_id, g.model, g.purpose, g.expires, g.revoked) for g in about["grants"]),
        title="\ngrants",
    )
    standing = about["standing"]
    rows = [] if standing is None else [(standing.decision_id, standing.action, standing.rule, standing.expires)]
    emit_table(("decision in force", "action", "rule", "until"), rows, title="\nstanding")


@group.command()
def change(
    name: Name,
    new_name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    payment: Payment = None,
    kind: Kind = None,
    status: Annotated[Status | None, typer.Option(help="Closing revokes its keys.")] = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """Change what is given; 'none' takes payment or kind away."""
    given: dict[str, Any] = {"name": new_name, "payment": payment, "kind": kind, "status": status}
    given = {option: value for option, value in given.items() if value is not None}
    for option in ("payment", "kind"):
        if given.get(option) == NONE:
            given[option] = None
    if given.get("payment"):
        given["payment"] = _pseudonym(data, payment)
    with opened(data, database) as store:
        changed = store.change_account(account_named(store, name).account_id, **given)
    _show(changed, json)


@group.command()
def revoke(name: Name, data: Data = FOLDER, database: Database = None, json: Json = False) -> None:
    """Close an account and revoke its keys, at once. What is stored about it stays."""
    with opened(data, database) as store:
        closed = store.change_account(account_named(store, name).account_id, status="closed")
    _show(closed, json)


def _pseudonym(data: Path, payment: str | None) -> str | None:
    if payment is None:
        return None
    from spiritsafe.record.identity import open_identity

    return open_identity(data).of("payment", payment)


def _about(store: Store, account_id: str) -> dict[str, Any]:
    return {
        "keys": [public_key(key) for key in store.keys(account_id=account_id)],
        "grants": store.grants(account_id=account_id),
        "usage": store.usage(account_id=account_id),
        "standing": store.standing(account_id).get(account_id),
    }


def _show(account: Account, json: bool) -> None:
    if json:
        emit_json(account)
    else:
        emit_table(("account", account.account_id), [(f, getattr(account, f)) for f in account.__struct_fields__[1:]])
