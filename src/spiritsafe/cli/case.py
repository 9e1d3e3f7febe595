"""``spiritsafe case``: what people follow about an account or a ring; list, add, show, note, close, reopen, export."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from spiritsafe.cli.data import FOLDER, Data, Database, opened
from spiritsafe.cli.output import Json, emit_json, emit_table
from spiritsafe.cli.values import person

if TYPE_CHECKING:
    from spiritsafe.evidence.stix import Identifier
    from spiritsafe.store import Case, Event

group = typer.Typer(
    help="What people follow: list, add, show, note, close, reopen, export.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="CASE", help="Its id.")]
By = Annotated[str | None, typer.Option(help="Who says so; you, unless said.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(group, name="case")


@group.command("list")
def list_(
    status: Annotated[Literal["open", "closed"] | None, typer.Option(help="Only those.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only those about this account or ring.")] = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """List cases, newest first."""
    with opened(data, database) as store:
        found = store.cases(status=status, subject=subject)
    if json:
        emit_json({"cases": found})
        return
    columns = ("case", "subject", "status", "opened", "events", "last")
    emit_table(
        columns,
        ((c.case_id, c.subject, c.status, c.opened, len(c.events), c.events[-1].kind) for c in found),
    )


@group.command()
def add(
    subject: Annotated[str, typer.Argument(help="What it is about: the id of an account or a ring.")],
    text: Annotated[str, typer.Option(help="Why.")] = "",
    by: By = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """Open a case."""
    with opened(data, database) as store:
        made = store.open_case(subject, person(by), text)
    _print(made, json)


@group.command()
def show(name: Name, data: Data = FOLDER, database: Database = None, json: Json = False) -> None:
    """Show a case and all that happened in it, decisions too."""
    with opened(data, database) as store:
        found = store.case(name)
    _print(found, json)


@group.command()
def note(
    name: Name,
    text: Annotated[str, typer.Argument(help="What to write down.")],
    by: By = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """Add a note."""
    with opened(data, database) as store:
        noted = store.note(name, person(by), text)
    _print(noted, json)


@group.command()
def close(
    name: Name,
    reason: Annotated[str, typer.Argument(help="Why.")],
    by: By = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """Close a case. Its decisions stay in force: spiritsafe decision reverse."""
    with opened(data, database) as store:
        closed = store.close_case(name, person(by), reason)
    _print(closed, json)


@group.command()
def reopen(
    name: Name,
    reason: Annotated[str, typer.Argument(help="Why.")],
    by: By = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """Open a closed case again."""
    with opened(data, database) as store:
        reopened = store.reopen_case(name, person(by), reason)
    _print(reopened, json)


@group.command()
def export(
    name: Name,
    shared_key: Annotated[
        Path, typer.Option(metavar="FILE", help="The key shared with other providers: 64 hexadecimal digits.")
    ],
    provider: Annotated[str, typer.Option(help="Whose word it is: your name.")],
    identifiers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="More to share, as JSON lines of kind and value.")
    ] = None,
    stix: Annotated[bool, typer.Option("--stix", help="As STIX 2.1, the only form there is.")] = True,
    data: Data = FOLDER,
    database: Database = None,
) -> None:
    """Export a case for other providers: STIX 2.1 with MITRE ATLAS ids, identifiers as keyed hashes."""
    from datetime import UTC, datetime

    from spiritsafe.evidence.stix import Identifier, Shared, bundle
    from spiritsafe.record.keys import read_secret

    with opened(data, database) as store:
        found = store.case(name)
        accounts = {event.account_id for event in found.events if event.account_id}
        if any(account.account_id == found.subject for account in store.accounts()):
            accounts.add(found.subject)
        for event in found.events:
            if event.decision_id is not None:
                accounts.update(store.decision(event.decision_id).accounts)
    more = _identifiers(identifiers) if identifiers is not None else []
    told = [Identifier("account", account) for account in sorted(accounts)] + more
    shared = Shared(
        provider=provider,
        case_id=found.case_id,
        subject=found.subject,
        opened=found.opened,
        made=datetime.now(UTC),
        identifiers=tuple(told),
    )
    emit_json(bundle(shared, read_secret(shared_key)))


def _identifiers(path: Path) -> list[Identifier]:
    from spiritsafe.evidence.stix import Identifier
    from spiritsafe.lines import read_lines

    remedy = "A line holds kind and value."
    return [found for _, found in read_lines(path, Identifier, what="identifier", remedy=remedy)]


def emit_events(events: Iterable[Event]) -> None:
    """Print a history as a table, oldest first."""
    rows = ((e.time, e.kind, e.by, e.account_id or e.decision_id, e.text) for e in events)
    emit_table(("time", "what", "by", "about", "text"), rows, title="\nhistory")


def _print(case: Case, json: bool) -> None:
    if json:
        emit_json(case)
        return
    emit_table(("case", case.case_id), [("subject", case.subject), ("status", case.status), ("opened", case.opened)])
    emit_events(case.events)
