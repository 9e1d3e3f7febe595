"""``spiritsafe key``: list, add, show, change, rotate, revoke."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from spiritsafe.cli.data import FOLDER, Data, Database, account_named, key_named, opened
from spiritsafe.cli.output import Json, emit_json, emit_table
from spiritsafe.cli.values import duration, moment, number

if TYPE_CHECKING:
    from spiritsafe.store import Key

group = typer.Typer(
    help="API keys: list, add, show, change, rotate, revoke.", no_args_is_help=True, rich_markup_mode=None
)

COLUMNS = ("key", "starts with", "account", "name", "state", "expires")

Name = Annotated[str, typer.Argument(metavar="KEY", help="Its id, or the start it is shown with (ssk_abcd2345).")]
Label = Annotated[str | None, typer.Option("--name", help="What it is for.")]
Expires = Annotated[str | None, typer.Option(help="When it ends: 90d, 12h, 2027-01-31, or none.")]
PerMinute = Annotated[str | None, typer.Option("--rpm", help="Requests a minute, or none.")]
TokensPerMinute = Annotated[str | None, typer.Option("--tpm", help="Tokens a minute, or none.")]
PerDay = Annotated[str | None, typer.Option("--rpd", help="Requests a day (UTC), or none.")]
TokensPerDay = Annotated[str | None, typer.Option("--tpd", help="Tokens a day (UTC), or none.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(group, name="key")


@group.command("list")
def list_(
    account: Annotated[str | None, typer.Option(help="Only the keys of this one.")] = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """List keys, oldest first."""
    with opened(data, database) as store:
        owner = None if account is None else account_named(store, account).account_id
        found = [public(key) for key in store.keys(account_id=owner)]
    if json:
        emit_json({"keys": found})
    else:
        emit_table(COLUMNS, map(line, found))


@group.command()
def add(
    account: Annotated[str, typer.Argument(help="Whose it is: the id or name of an account.")],
    name: Label = None,
    expires: Expires = None,
    rpm: PerMinute = None,
    tpm: TokensPerMinute = None,
    rpd: PerDay = None,
    tpd: TokensPerDay = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """Make a key. Its secret is shown now and never again."""
    from spiritsafe.store import Limits

    limits = Limits(**_limits(rpm, tpm, rpd, tpd))
    ends = moment(expires, datetime.now(UTC))
    with opened(data, database) as store:
        owner = account_named(store, account).account_id
        _hand_out(*store.add_key(owner, name=name, expires=ends, limits=limits), json)


@group.command()
def show(name: Name, data: Data = FOLDER, database: Database = None, json: Json = False) -> None:
    """Show a key with its limits and what it has used."""
    with opened(data, database) as store:
        key = key_named(store, name)
        usage = store.usage(key_id=key.key_id)
    if json:
        emit_json(public(key) | {"usage": usage})
        return
    _show(key)
    emit_table(("day", "requests", "tokens"), ((u.day, u.requests, u.tokens) for u in usage[-14:]), title="\nused")


@group.command()
def change(
    name: Name,
    label: Label = None,
    expires: Expires = None,
    rpm: PerMinute = None,
    tpm: TokensPerMinute = None,
    rpd: PerDay = None,
    tpd: TokensPerDay = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """Change what is given; 'none' takes an expiry or a limit away."""
    given: dict[str, Any] = {} if label is None else {"name": label}
    if expires is not None:
        given["expires"] = moment(expires, datetime.now(UTC))
    limits = _limits(rpm, tpm, rpd, tpd)
    with opened(data, database) as store:
        key = key_named(store, name)
        if limits:
            given["limits"] = msgspec.structs.replace(key.limits, **limits)
        changed = store.change_key(key.key_id, **given)
    _print(changed, json)


@group.command()
def rotate(
    name: Name,
    overlap: Annotated[str, typer.Option(help="How long the old key goes on working: 24h, 7d, 0s.")] = "24h",
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """Make a key that takes over from another. Its secret is shown now and never again."""
    length = duration(overlap)
    with opened(data, database) as store:
        _hand_out(*store.rotate_key(key_named(store, name).key_id, overlap=length), json)


@group.command()
def revoke(name: Name, data: Data = FOLDER, database: Database = None, json: Json = False) -> None:
    """End a key for good, at once, at every gateway."""
    with opened(data, database) as store:
        revoked = store.revoke_key(key_named(store, name).key_id)
    _print(revoked, json)


def public(key: Key) -> dict[str, Any]:
    """A key as it may be shown: without its hash, with its state."""
    fields = msgspec.structs.asdict(key)
    del fields["hash"]
    return fields | {"state": key.state(datetime.now(UTC))}


def line(key: dict[str, Any]) -> tuple[object, ...]:
    """A key's row under ``COLUMNS``."""
    return key["key_id"], key["prefix"], key["account_id"], key["name"], key["state"], key["expires"]


def _limits(rpm: str | None, tpm: str | None, rpd: str | None, tpd: str | None) -> dict[str, int | None]:
    typed = {"requests_per_minute": rpm, "tokens_per_minute": tpm, "requests_per_day": rpd, "tokens_per_day": tpd}
    return {name: number(text) for name, text in typed.items() if text is not None}


def _hand_out(key: Key, secret: str, json: bool) -> None:
    if json:
        emit_json(public(key) | {"secret": secret})
        return
    _show(key)
    typer.echo(f"\n{secret}\n\nCopy it now: it is stored nowhere and can't be shown again.")


def _print(key: Key, json: bool) -> None:
    if json:
        emit_json(public(key))
    else:
        _show(key)


def _show(key: Key) -> None:
    fields = public(key)
    limits = {name.replace("_", " "): value for name, value in msgspec.structs.asdict(fields.pop("limits")).items()}
    emit_table(("key", fields.pop("key_id")), [*fields.items(), *limits.items()])
