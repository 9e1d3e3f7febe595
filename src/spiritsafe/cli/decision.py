"""``spiritsafe decision``: what was decided about whom, and why; list, show, confirm, reverse, appeal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from spiritsafe.cli.case import By, emit_events
from spiritsafe.cli.data import FOLDER, Data, Database, opened
from spiritsafe.cli.output import Json, emit_json, emit_table
from spiritsafe.cli.values import person

if TYPE_CHECKING:
    from spiritsafe.stats.result import Evidence
    from spiritsafe.store import Decision

group = typer.Typer(
    help="What was decided: list, show, confirm, reverse, appeal.", no_args_is_help=True, rich_markup_mode=None
)

SHOWN = 20

Name = Annotated[str, typer.Argument(metavar="DECISION", help="Its id.")]
Member = Annotated[str | None, typer.Option("--account", help="Only for this account of a ring.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(group, name="decision")


@group.command("list")
def list_(
    status: Annotated[
        Literal["pending", "in_force", "reversed", "expired"] | None, typer.Option(help="Only those.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Only those about this account or ring.")] = None,
    account: Annotated[str | None, typer.Option(help="Only those that cover this account.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """List decisions, newest first; 'pending' ones wait for a person."""
    with opened(data, database) as store:
        found = store.decisions(status=status, subject=subject, account_id=account, limit=limit)
    if json:
        emit_json({"decisions": found})
        return
    columns = ("decision", "time", "subject", "accounts", "action", "status", "rule", "appeal")
    emit_table(columns, map(_line, found))
    if len(found) == limit:
        typer.echo(f"Only the newest {limit} are shown: --limit shows more.", err=True)


@group.command()
def show(name: Name, data: Data = FOLDER, database: Database = None, json: Json = False) -> None:
    """Show a decision with its reasons, its evidence and its history."""
    with opened(data, database) as store:
        found = store.decision(name)
    _print(found, json)


@group.command()
def confirm(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    by: By = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """Put a pending decision in force: you answer for it."""
    with opened(data, database) as store:
        confirmed = store.confirm(name, person(by), reason)
    _print(confirmed, json)


@group.command()
def reverse(
    name: Name,
    reason: Annotated[str, typer.Argument(help="Why.")],
    account: Member = None,
    by: By = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """End a decision, at once and for good, or turn a pending one down; says what still binds its accounts."""
    with opened(data, database) as store:
        ended = store.reverse(name, person(by), reason, account_id=account)
        freed = ended.accounts if account is None else (account,)
        standing = store.standing()
        left = {member: standing[member] for member in freed if member in standing}
    if json:
        emit_json({"decision": ended, "still_bound": {member: d.decision_id for member, d in left.items()}})
        return
    _print(ended, json=False)
    if left:
        rows = [(member, d.action, d.decision_id) for member, d in left.items()]
        emit_table(
            ("account", "action", "decision"), rows[:SHOWN], title=f"\n{len(rows)} still bound by another decision"
        )


@group.command()
def appeal(
    name: Name,
    text: Annotated[str, typer.Argument(help="What those concerned say.")],
    account: Member = None,
    data: Data = FOLDER,
    database: Database = None,
    json: Json = False,
) -> None:
    """Write an appeal down in a case. The decision stands until a person reverses it."""
    with opened(data, database) as store:
        appealed = store.appeal(name, text, account_id=account)
    _print(appealed, json)


def _line(decision: Decision) -> tuple[object, ...]:
    return (
        decision.decision_id,
        decision.time,
        decision.subject,
        len(decision.accounts),
        decision.action,
        decision.status,
        decision.rule,
        "yes" if decision.appeal else None,
    )


def _evidence_line(evidence: Evidence) -> tuple[object, ...]:
    result = evidence.result
    facts = "; ".join(result.because)
    return evidence.family, result.name, f"{result.p_value:.2g}", f"{result.log10_e:.2f}", result.n, facts


def _print(decision: Decision, json: bool) -> None:
    if json:
        emit_json(decision)
        return
    names = ("subject", "subject_kind", "action", "status", "rule", "by", "time", "expires", "case_id", "appeal")
    more = f" and {len(decision.accounts) - SHOWN} more" if len(decision.accounts) > SHOWN else ""
    rows: list[tuple[str, object]] = [(name.replace("_", " "), getattr(decision, name)) for name in names]
    rows.append(("accounts", ", ".join(decision.accounts[:SHOWN]) + more))
    rows.append(("let go", ", ".join(decision.released) or None))
    rows += [("because", reason) for reason in decision.reasons]
    emit_table(("decision", decision.decision_id), rows)
    emit_table(
        ("family", "test", "p-value", "log10 e", "n", "facts"),
        map(_evidence_line, decision.evidence),
        title="\nevidence",
    )
    emit_events(decision.events)
