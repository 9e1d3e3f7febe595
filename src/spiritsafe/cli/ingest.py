"""``spiritsafe ingest``: other people's logs into the record."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from spiritsafe.cli.data import FOLDER, Data, make_folder
from spiritsafe.cli.output import Json, emit_json
from spiritsafe.cli.progress import progress
from spiritsafe.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.record.ingest import Ingested

SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(ingest)


def ingest(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG...", help="The logs, plain or gzipped.")],
    form: Annotated[str, typer.Option("--from", metavar="FORM", help="litellm, otel, openai, vllm, parquet or jsonl.")],
    content: Annotated[
        Literal["full", "sketch", "none"],
        typer.Option(help="How much text is kept: all, a sketch for the detectors, none."),
    ] = "full",
    account: Annotated[str, typer.Option(help="The account of exchanges that name none.")] = "unknown",
    zone: Annotated[
        str, typer.Option(help="The time zone of times that name none: Europe/Berlin, UTC, +02:00.")
    ] = "UTC",
    keep_accounts: Annotated[
        bool, typer.Option("--keep-accounts", help="Keep account and key ids as the log has them, not as pseudonyms.")
    ] = False,
    data: Data = FOLDER,
    json: Json = False,
) -> None:
    """Read other people's logs into the record; exit 1 if places in them could not be read.

    An exchange that the record has already is skipped, so a log can be read again when it has grown. Identifiers of
    people and networks become pseudonyms under the data folder's key. What has no field of its own is kept in `extra`.
    """
    from spiritsafe.record.importers import Options, importer
    from spiritsafe.record.ingest import ingest as read

    importer(form)
    options = Options(account=account, zone=_zone(zone))
    make_folder(data)
    with progress("ingest", _lines(logs, form), "exchanges") as tell:
        done = read(logs, form, data, content=content, options=options, keep_accounts=keep_accounts, progress=tell)
    if json:
        emit_json(done)
    else:
        _tell(done)
    raise typer.Exit(1 if done.problems else 0)


def _tell(done: Ingested) -> None:
    skipped = f", {done.duplicates} skipped that it has already" if done.duplicates else ""
    typer.echo(f"{done.added} exchanges added to the record{skipped}.")
    for problem in done.told[:SHOWN]:
        typer.echo(str(problem), err=True)
    if done.problems:
        more = f", {done.problems - SHOWN} of them not shown here" if done.problems > SHOWN else ""
        typer.echo(f"{done.problems} places could not be read{more}.", err=True)


def _zone(text: str) -> tzinfo:
    if text.upper() in ("UTC", "Z"):
        return UTC
    offset = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text)
    if offset:
        span = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(span if offset[1] == "+" else -span)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"{text!r} is no time zone", remedy="Write Europe/Berlin, UTC or +02:00.") from error


def _lines(logs: Sequence[Path], form: str) -> int:
    """About how many exchanges the logs hold, for the progress line alone: their lines, or a table's rows."""
    if form == "parquet":
        import pyarrow.parquet as pq
        from pyarrow import ArrowException

        try:
            return sum(pq.read_metadata(path).num_rows for path in logs)
        except (ArrowException, OSError):
            return 0  # the importer says what is wrong
    size = 0
    for path in logs:
        if path.is_file():
            with path.open("rb") as file:
                size += sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    return size
