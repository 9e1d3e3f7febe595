"""``spiritsafe verify``: is a record, a sealed student or a bundle of evidence as it was written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spiritsafe.cli.output import Json, emit_json, emit_table
from spiritsafe.cli.progress import progress
from spiritsafe.cli.verify_bundle import verify_bundle
from spiritsafe.cli.verify_student import verify_student
from spiritsafe.errors import InputError, UsageError

if TYPE_CHECKING:
    from spiritsafe.record.verify import Verification


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(verify)


def verify(
    data: Annotated[
        Path, typer.Argument(metavar="PATH", help="A data folder, the record in it, a student, or a bundle.")
    ],
    key: Annotated[
        str | None,
        typer.Option(
            help="The fingerprint the signing key must have, from a source you trust; a student's also as a file."
        ),
    ] = None,
    head: Annotated[
        list[Path] | None, typer.Option(help="A head published before (`spiritsafe record head`); may be repeated.")
    ] = None,
    authority: Annotated[
        Path | None, typer.Option(metavar="PEM", help="The root of the authority that stamped a bundle's plan.")
    ] = None,
    json: Json = False,
) -> None:
    """Check every row, segment and signature of a record; every file, stage and permission of a sealed student; or
    every byte of a bundle, whose numbers are computed again, offline.

    Exit 0 if intact, 1 if broken, with the first wrong place of a record or every one of a student. Rows cut off
    together with a head put back from an earlier day, or everything signed anew with a stolen key, only a head kept
    elsewhere can show: give it with --head.
    """
    from spiritsafe.distill.verify_student import is_student
    from spiritsafe.prove.bundle import is_bundle
    from spiritsafe.record.layout import record_folder
    from spiritsafe.record.verify import verify as check

    if is_bundle(data):
        raise typer.Exit(verify_bundle(data, key, authority, json))
    if is_student(data):
        if head:
            raise UsageError("a student has no heads", remedy="Leave --head out; give --key.", where="--head")
        raise typer.Exit(verify_student(data, key, json))
    folder = record_folder(data)
    heads = [_read(path) for path in head or ()]
    with progress("verify", _rows(folder), "rows") as tell:
        found = check(folder, key=key, heads=heads, progress=lambda done, _: tell(done))
    if json:
        emit_json(found)
    else:
        _tell(found)
    raise typer.Exit(0 if found.verdict == "intact" else 1)


def _tell(found: Verification) -> None:
    typer.echo(found.verdict)
    if found.problem is not None:
        row = "" if found.problem.row is None else f", row {found.problem.row}"
        typer.echo(f"{found.problem.where}{row}: {found.problem.message} (step {found.problem.step})")
    lines = [
        ("rows", found.rows),
        ("under a signature", found.signed),
        ("segments", found.segments),
        ("journals", found.journals),
        ("pruned rows", found.pruned),
        ("key", found.key or None),
        ("link after the last row", found.link or None),
    ]
    emit_table(("checked", ""), lines)
    for note in found.notes:
        typer.echo(f"note: {note}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"the head can't be read: {error.strerror}", remedy="Check --head", where=str(path)) from error


def _rows(folder: Path) -> int:
    """About how many rows there are, for the progress line alone."""
    from spiritsafe.record.layout import layout

    found = layout(folder)
    return max((*found.manifests, *found.journals), default=0)
