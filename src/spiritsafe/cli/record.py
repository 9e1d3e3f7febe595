"""``spiritsafe record``: look into the record, publish its head, drop old content."""

from __future__ import annotations

import threading
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from spiritsafe.cli.data import FOLDER, Data
from spiritsafe.cli.output import Json, emit_json, emit_table, plain
from spiritsafe.cli.values import duration
from spiritsafe.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from spiritsafe.record.exchange import Exchange

group = typer.Typer(help="The sealed record: show, tail, head, prune.", no_args_is_help=True, rich_markup_mode=None)

COLUMNS = ("row", "time", "account", "model", "status", "in", "out", "asked")
EXCERPT = 60


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(group, name="record")


@group.command()
def show(
    which: Annotated[str, typer.Argument(metavar="ROW", help="The number of its row, or its exchange id.")],
    data: Data = FOLDER,
    json: Json = False,
) -> None:
    """Show one exchange, as it is kept."""
    number, exchange = _find(_folder(data), which)
    if json:
        emit_json({"row": number, **_plain(exchange)})
        return
    fields = {"row": number, **_plain(exchange)}
    emit_table(("field", "value"), ((name, _shown(value)) for name, value in fields.items()))


@group.command()
def tail(
    count: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with those that come in.")] = False,
    data: Data = FOLDER,
    json: Json = False,
) -> None:
    """Show the last exchanges; with --json, one a line."""
    from spiritsafe.record import reader

    folder = _folder(data)
    last: deque[tuple[int, Exchange]] = deque(maxlen=count)
    after = 0
    for number, exchange in reader.read(folder, start=_start(folder, count)):
        last.append((number, exchange))
        after = number + 1
    _print(last, json)
    if not follow:
        return
    try:
        for batch in reader.follow(folder, after, threading.Event()):
            _print(batch, json, title=False)
    except KeyboardInterrupt:
        raise typer.Exit from None


@group.command()
def head(data: Data = FOLDER, json: Json = False) -> None:
    """Print the signed head, to be kept or published where nobody can change it.

    ``spiritsafe verify DATA --head FILE`` later checks that the record still holds those rows. It is one line of
    JSON, the same with --json; what it says is told on standard error.
    """
    from spiritsafe.record.head import newest
    from spiritsafe.record.layout import head_path

    folder = _folder(data)
    found = newest(head_path(folder), _public(folder))
    if found is None:
        raise InputError("there is no head yet", remedy="Begin a record: spiritsafe serve", where=str(folder))
    typer.echo(found[1].decode())
    if not json:
        typer.echo(f"{found[0].rows} rows at {found[0].time:%Y-%m-%d %H:%M:%SZ}, key {found[0].key}", err=True)


@group.command()
def prune(
    before: Annotated[
        str, typer.Option(help="Drop content older than this: an age such as 90d, a date, or a time in ISO 8601.")
    ],
    data: Data = FOLDER,
    json: Json = False,
) -> None:
    """Drop the text of old exchanges, prompts and answers both; who asked, when and how much stays.

    The record still verifies afterwards, and says what was dropped. A running gateway is not disturbed: what it has
    written within the last hour is dropped the next time.
    """
    from spiritsafe.record.prune import prune as drop

    done = drop(_folder(data), _moment(before))
    if json:
        emit_json(done)
        return
    typer.echo(f"Dropped the content of {done.rows} exchanges before {done.before:%Y-%m-%d %H:%M}Z.")
    if done.waiting:
        typer.echo("A gateway is writing: its newest rows could not be looked at. Prune again in an hour.")


def _folder(data: Path) -> Path:
    from spiritsafe.record.layout import layout, record_folder

    folder = record_folder(data)
    layout(folder)
    return folder


def _public(folder: Path) -> Any:
    from spiritsafe.record.keys import Public
    from spiritsafe.record.layout import public_path

    path = public_path(folder)
    found = Public.from_text(path.read_text()) if path.exists() else None
    if found is None:
        raise InputError("there is no public key", remedy="Check the record: spiritsafe verify", where=str(path))
    return found


def _find(folder: Path, which: str) -> tuple[int, Exchange]:
    from spiritsafe.record.reader import frame, read

    if which.isdecimal():
        for number, exchange in read(folder, start=int(which)):
            return number, exchange
        raise UsageError(f"there is no row {which}", remedy="Look at the last ones: spiritsafe record tail")
    import polars as pl

    rows = frame(folder).filter(pl.col("exchange_id") == which).select("row").collect()["row"]
    if rows.is_empty():
        raise UsageError(f"there is no exchange {which!r}", remedy="Give a row number or the whole id")
    return next(iter(read(folder, start=int(rows[0]))))


def _start(folder: Path, count: int) -> int:
    """Return a row that lies at most a file before the last ``count`` rows."""
    from spiritsafe.record.layout import layout

    found = layout(folder)
    firsts = sorted({0, *found.manifests, *found.journals})
    return max((first for first in firsts if first + count <= firsts[-1]), default=0)


def _print(items: Iterable[tuple[int, Exchange]], json: bool, *, title: bool = True) -> None:
    if json:
        for number, exchange in items:
            typer.echo(msgspec.json.encode({"row": number, **_plain(exchange)}).decode())
        return
    lines = [_line(number, exchange) for number, exchange in items]
    if title:
        emit_table(COLUMNS, lines)
    else:
        for line in lines:
            typer.echo("  ".join("-" if cell is None else plain(str(cell)) for cell in line))


def _line(number: int, exchange: Exchange) -> tuple[object, ...]:
    from spiritsafe.record.exchange import prompt_text

    asked = " ".join((prompt_text(exchange) or f"({exchange.content})").split())
    return (
        number,
        exchange.time,
        exchange.account_id,
        exchange.model,
        exchange.status,
        exchange.prompt_tokens,
        exchange.completion_tokens,
        asked if len(asked) <= EXCERPT else asked[: EXCERPT - 1] + "…",
    )


def _plain(exchange: Exchange) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(exchange)
    return found


def _shown(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _moment(text: str) -> datetime:
    """Read an age before now, or a date or time (UTC unless it says otherwise)."""
    if text.strip()[-1:].isalpha() and text.strip()[:1].isdigit() and not text.strip().endswith("Z"):
        return datetime.now(UTC) - duration(text)
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        remedy = "Write an age such as 90d, or 2026-01-31, or 2026-01-31T12:00Z."
        raise UsageError(f"{text!r} is no time", remedy=remedy) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
