"""``spiritsafe grant``: permits to distil; list, add, show, change, revoke."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from spiritsafe.cli.data import FOLDER, Data, Database, account_named, opened
from spiritsafe.cli.output import Json, emit_json, emit_table
from spiritsafe.cli.values import moment, number, person

if TYPE_CHECKING:
    from spiritsafe.store import Grant

group = typer.Typer(
    help="Permits to distil: list, add, show, change, revoke.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(metavar="GRANT", help="Its id.")]
Expires = Annotated[str | None, typer.Option(help="When it ends: 90d, 2027-01-31, or none.")]
Requests = Annotated[str | None, typer.Option(help="How many requests in all, or none for no limit.")]
Tokens = Annotated[str | None, typer.Option(help="How many tokens in all, or none for no limit.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(group, name="grant")


@group.command("list")
def list_(
    account: Annotated[str | None, typer.Option(help="Only the grants of this one.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Only those in force.")] = False,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """List grants, oldest first."""
    with opened(data, database) as store:
        owner = None if account is None else account_named(store, account).account_id
        found = store.grants(account_id=owner, live=live)
    if json:
        emit_json({"grants": [public(grant) for grant in found]})
        return
    columns = ("grant", "account", "model", "purpose", "live", "expires", "tokens used", "of")
    emit_table(columns, map(_line, found))


@group.command()
def add(
    account: Annotated[str, typer.Argument(help="Who may: the id or name of an account.")],
    model: Annotated[str, typer.Option(help="Which models: a name or a shell pattern, * for all.")],
    purpose: Annotated[str, typer.Option(help="What for.")],
    expires: Expires = None,
    requests: Requests = None,
    tokens: Tokens = None,
    by: Annotated[str | None, typer.Option(help="Who permits it; you, unless said.")] = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """Permit an account to distil."""
    ends, quota_requests, quota_tokens = moment(expires, datetime.now(UTC)), number(requests), number(tokens)
    with opened(data, database) as store:
        made = store.add_grant(
            account_named(store, account).account_id,
            model=model,
            purpose=purpose,
            by=person(by),
            expires=ends,
            quota_requests=quota_requests,
            quota_tokens=quota_tokens,
        )
    _print(made, json)


@group.command()
def show(name: Name, data: Data = FOLDER, database: Database = None, json: Json = False) -> None:
    """Show a grant and what was used of it."""
    with opened(data, database) as store:
        found = store.grant(name)
    _print(found, json)


@group.command()
def change(
    name: Name,
    purpose: Annotated[str | None, typer.Option(help="What for.")] = None,
    expires: Expires = None,
    requests: Requests = None,
    tokens: Tokens = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """Change what is given; 'none' takes an expiry or a quota away."""
    given: dict[str, Any] = {} if purpose is None else {"purpose": purpose}
    if expires is not None:
        given["expires"] = moment(expires, datetime.now(UTC))
    if requests is not None:
        given["quota_requests"] = number(requests)
    if tokens is not None:
        given["quota_tokens"] = number(tokens)
    with opened(data, database) as store:
        changed = store.change_grant(name, **given)
    _print(changed, json)


@group.command()
def revoke(name: Name, data: Data = FOLDER, database: Database = None, json: Json = False) -> None:
    """End a grant for good, at once."""
    with opened(data, database) as store:
        revoked = store.revoke_grant(name)
    _print(revoked, json)


def public(grant: Grant) -> dict[str, Any]:
    """A grant as it is shown: with whether it is in force."""
    return msgspec.structs.asdict(grant) | {"live": grant.live(datetime.now(UTC))}


def _line(grant: Grant) -> tuple[object, ...]:
    live = grant.live(datetime.now(UTC))
    used = (grant.used_tokens, grant.quota_tokens)
    return grant.grant_id, grant.account_id, grant.model, grant.purpose, live, grant.expires, *used


def _print(grant: Grant, json: bool) -> None:
    fields = public(grant)
    if json:
        emit_json(fields)
    else:
        emit_table(("grant", fields.pop("grant_id")), fields.items())
